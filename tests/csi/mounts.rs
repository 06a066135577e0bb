//! What breaks under a mounted volume: the daemon, the plugin, bricks, nodes. Pods go on, or are told why not.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use moongate_tests::beds::gluster::Gluster;
use moongate_tests::wait;

use crate::driver::Driver;
use crate::kubelet::{Claim, Kubelet, LIMIT, delete, provision, text};

/// How a runtime mounts a volume into a container.
const PROPAGATIONS: [&str; 2] = ["rprivate", "rslave"];

/// A mount namespace of its own with a pod's volume in it.
struct Container<'a> {
    gluster: &'a Gluster,
    entered: Child,
    pid: String,
    root: String,
}

impl<'a> Container<'a> {
    fn start(gluster: &'a Gluster, volume: &str, propagation: &str) -> Self {
        let root = text(&gluster.path().join(format!("root-{propagation}")));
        let note = format!("{root}.pid");
        std::fs::create_dir_all(&root).unwrap();
        let script = format!(
            "mount --bind {volume} {root} && mount --make-{propagation} {root} && cd / && echo $$ > {note} && exec sleep 100000"
        );
        let mut command: Command = gluster.command(0, "unshare");
        command.args(["-m", "--propagation", "unchanged", "sh", "-c", &script]);
        let entered = command.stdout(Stdio::null()).spawn().unwrap();
        let pid = wait::until("the container runs", LIMIT, || {
            let pid = std::fs::read_to_string(&note).unwrap_or_default();
            pid.ends_with('\n').then(|| pid.trim().to_owned())
        });
        Self {
            gluster,
            entered,
            pid,
            root,
        }
    }

    /// Runs a shell's words inside; whether they succeed.
    fn does(&self, words: &str) -> bool {
        let words = format!("cd {} && {words}", self.root);
        let inside = [
            "-t", &self.pid, "-m", "--", "timeout", "20", "sh", "-c", &words,
        ];
        let output = self.gluster.client_output("nsenter", &inside);
        output.status.success()
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        let _ = self.gluster.client_output("kill", &["-9", &self.pid]);
        let _ = self.entered.wait();
    }
}

fn kill_daemon(kubelet: &Kubelet, claim: &Claim) {
    let pid = kubelet.daemon(claim).expect("its daemon lives");
    kubelet.gluster.client("kill", &["-9", &pid]);
}

#[tokio::test]
async fn a_dead_daemon_is_mended_in_running_containers() {
    let driver = Driver::start();
    let mut controller = driver.controller().await;
    let mut kubelet = Kubelet::start(&driver.gluster, "");
    let claim = provision(&mut controller, "mend", 64, &[]).await;
    kubelet.stage(&claim).await.unwrap();
    kubelet.publish(&claim, "a", false).await.unwrap();
    kubelet.publish(&claim, "r", true).await.unwrap();
    let (volume, read) = (
        text(&kubelet.target(&claim, "a")),
        text(&kubelet.target(&claim, "r")),
    );
    let containers = PROPAGATIONS.map(|kind| Container::start(&driver.gluster, &volume, kind));
    for container in &containers {
        assert!(container.does("echo before >> log"));
    }

    for round in 0..3 {
        // Of the plugin nothing is needed; the mounter may have died too.
        kubelet.kill_plugin();
        if round == 1 {
            kubelet.kill_mounter();
        }
        let old = kubelet.daemon(&claim);
        kill_daemon(&kubelet, &claim);
        if round == 1 {
            kubelet.start_mounter();
        }
        for container in &containers {
            wait::until_true("the container writes again", LIMIT, || {
                container.does(&format!("echo {round} >> log"))
            });
        }
        assert_ne!(kubelet.daemon(&claim), old);
        kubelet.start_plugin();
        kubelet.is_healthy(&claim).await;
    }
    wait::until_true("what may be read only is mended as such", LIMIT, || {
        driver
            .gluster
            .client_output("cat", &[&format!("{read}/log")])
            .status
            .success()
    });
    let written = driver
        .gluster
        .client_output("touch", &[&format!("{read}/x")]);
    assert!(!written.status.success());
    let log = driver.gluster.client("cat", &[&format!("{volume}/log")]);
    assert_eq!(log, "before\nbefore\n0\n0\n1\n1\n2\n2\n");

    drop(containers);
    for pod in ["a", "r"] {
        kubelet.unpublish(&claim, pod).await.unwrap();
    }
    kubelet.unstage(&claim).await.unwrap();
    kubelet.nothing_is_left();
    delete(&mut controller, &claim).await;
    driver.nothing_is_left();
}

#[tokio::test]
async fn a_writer_goes_on_while_the_plugin_is_killed_and_a_brick_comes_back() {
    let driver = Driver::start();
    let mut controller = driver.controller().await;
    let mut kubelet = Kubelet::start(&driver.gluster, "");
    let claim = provision(&mut controller, "writer", 64, &[]).await;
    kubelet.stage(&claim).await.unwrap();
    kubelet.publish(&claim, "a", false).await.unwrap();
    let volume = text(&kubelet.target(&claim, "a"));
    // One file that is never closed: had the daemon gone, its writes would fail.
    let script = format!(
        "exec >{volume}/stream; while echo line; do sleep 0.05; done; echo failed >{}.failed",
        driver.path("writer").display()
    );
    let mut writer = driver
        .gluster
        .command(0, "sh")
        .args(["-c", &script])
        .spawn()
        .unwrap();
    let stream = format!("{volume}/stream");
    let grows = |what: &str| {
        let size = || {
            let size = driver.gluster.client_output("stat", &["-c", "%s", &stream]);
            let size = String::from_utf8(size.stdout).unwrap();
            size.trim().parse::<u64>().unwrap_or(0)
        };
        let before = size();
        wait::until_true(what, LIMIT, || size() > before);
    };
    grows("the writer writes");
    let daemon = kubelet.daemon(&claim);
    kubelet.kill_plugin();
    grows("nothing is written without the plugin");
    kubelet.start_plugin();
    kubelet.kill_mounter();
    grows("nothing is written without the mounter");
    kubelet.start_mounter();
    kubelet.is_healthy(&claim).await;
    assert_eq!(kubelet.daemon(&claim), daemon, "it was never touched");

    driver.gluster.node(3, "pkill", &["-9", "-x", "glusterfsd"]);
    kubelet.becomes(&claim, "CopiesAway").await;
    grows("two of three copies are written");
    driver.gluster.node(
        1,
        "gluster",
        &["--mode=script", "volume", "start", &claim.id(), "force"],
    );
    kubelet.is_healthy(&claim).await;
    grows("three copies are written");
    is_healed(&driver, &claim);
    assert!(!driver.path("writer.failed").exists());

    driver
        .gluster
        .client("pkill", &["-9", "-f", &format!("{volume}/stream")]);
    let _ = writer.wait();
    kubelet.unpublish(&claim, "a").await.unwrap();
    kubelet.unstage(&claim).await.unwrap();
    kubelet.nothing_is_left();
}

fn is_healed(driver: &Driver, claim: &Claim) {
    wait::until_true("all is healed", LIMIT * 2, || {
        let info = ["volume", "heal", &claim.id(), "info", "summary"];
        let info = driver.gluster.node(1, "gluster", &info);
        info.matches("Number of entries in heal pending: 0").count() == 3
    });
}

#[tokio::test]
async fn what_is_no_dead_daemon_is_told_apart_and_left_alone() {
    let driver = Driver::start();
    let mut controller = driver.controller().await;
    let kubelet = Kubelet::start(&driver.gluster, "");
    let claim = provision(&mut controller, "told", 64, &[]).await;
    kubelet.stage(&claim).await.unwrap();
    kubelet.publish(&claim, "a", false).await.unwrap();
    let file = text(&kubelet.target(&claim, "a").join("file"));
    let id = claim.id();
    let gluster = |words: &[&str]| {
        let all = [&["--mode=script"], words].concat();
        driver.gluster.node(1, "gluster", &all)
    };
    let daemon = kubelet.daemon(&claim);

    gluster(&["volume", "stop", &id, "force"]);
    kubelet.becomes(&claim, "VolumeStopped").await;
    gluster(&["volume", "start", &id]);
    kubelet.is_healthy(&claim).await;
    for node in [2, 3] {
        driver.gluster.node(node, "pkill", &["-9", "gluster"]);
    }
    kubelet.becomes(&claim, "NoQuorum").await;
    assert!(
        !driver
            .gluster
            .client_output("touch", &[&file])
            .status
            .success()
    );
    for node in [2, 3] {
        driver
            .gluster
            .node(node, "glusterd", &["-p", "/run/glusterd.pid"]);
    }
    kubelet.is_healthy(&claim).await;
    wait::until_true("the pod writes again", LIMIT, || {
        driver
            .gluster
            .client_output("touch", &[&file])
            .status
            .success()
    });
    assert_eq!(kubelet.daemon(&claim), daemon, "nothing was mounted again");

    // A client that is let in no more ends by itself.
    gluster(&["volume", "set", &id, "auth.allow", "192.0.2.55"]);
    kubelet.becomes(&claim, "ClientRefused").await;
    let on_the_node = driver.gluster.client_output("touch", &[&file]);
    assert!(!on_the_node.status.success(), "never into the bare folder");
    gluster(&["volume", "set", &id, "auth.allow", "*"]);
    kubelet.is_healthy(&claim).await;
    wait::until_true("the pod writes again", LIMIT, || {
        driver
            .gluster
            .client_output("touch", &[&file])
            .status
            .success()
    });
    kubelet.unpublish(&claim, "a").await.unwrap();
    kubelet.unstage(&claim).await.unwrap();
    kubelet.nothing_is_left();
}

#[tokio::test]
async fn a_plugin_killed_at_any_step_finishes_when_it_is_called_again() {
    const STEP: Duration = Duration::from_millis(25);
    let driver = Driver::start();
    let mut controller = driver.controller().await;
    let mut kubelet = Kubelet::start(&driver.gluster, "");
    let claim = provision(&mut controller, "killed", 64, &[]).await;
    // From before anything is done to after all of it, in steps: which one it was is in the message.
    for step in 0..16 {
        for what in ["stage", "publish", "unpublish", "unstage"] {
            let death = async {
                tokio::time::sleep(STEP * step).await;
                kubelet.strike();
            };
            let _ = tokio::join!(call(&kubelet, &claim, what), death);
            kubelet.start_again();
            let again = call(&kubelet, &claim, what).await;
            assert!(again.is_ok(), "{what} killed at step {step}: {again:?}");
            if what == "publish" {
                let file = text(&kubelet.target(&claim, "a").join("x"));
                let written = driver.gluster.client_output("touch", &[&file]);
                assert!(!written.status.success(), "killed at step {step}");
            }
        }
        kubelet.nothing_is_left();
    }
    delete(&mut controller, &claim).await;
    driver.nothing_is_left();
}

async fn call(kubelet: &Kubelet<'_>, claim: &Claim, what: &str) -> Result<(), tonic::Status> {
    match what {
        "stage" => kubelet.stage(claim).await,
        "publish" => kubelet.publish(claim, "a", true).await,
        "unpublish" => kubelet.unpublish(claim, "a").await,
        _ => kubelet.unstage(claim).await,
    }
}
