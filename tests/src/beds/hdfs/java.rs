//! How Hadoop's programs are run.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::NAMENODE;

/// A Java of today hides what Hadoop of today looks into.
const OPENED: [&str; 8] = [
    "--add-opens",
    "java.base/java.lang=ALL-UNNAMED",
    "--add-opens",
    "java.base/java.nio=ALL-UNNAMED",
    "--add-opens",
    "java.base/java.util=ALL-UNNAMED",
    "--add-exports",
    "java.security.jgss/sun.security.krb5=ALL-UNNAMED",
];

/// Where `scripts/hadoop.sh` puts the jars.
fn hadoop() -> PathBuf {
    let found = crate::beds::cache().join("hadoop-3.4.2");
    assert!(
        found.join("complete").is_file(),
        "{} is missing: run scripts/hadoop.sh",
        found.display()
    );
    found
}

/// `java` with everything but a server's own arguments.
pub fn server(folder: &Path, class: &str) -> Command {
    command(folder, class, "INFO")
}

fn command(folder: &Path, class: &str, says: &str) -> Command {
    let hadoop = hadoop();
    let conf = folder.join("conf");
    let class_path = format!(
        "{}:{}:{}/*",
        conf.display(),
        hadoop.join("webroot").display(),
        hadoop.join("jars").display()
    );
    let mut command = Command::new("java");
    command.args([
        "-Xmx256m".into(),
        "-Djava.net.preferIPv4Stack=true".into(),
        "-XX:+UseSerialGC".into(),
        "-XX:TieredStopAtLevel=1".into(),
        "-Xshare:auto".into(),
        format!("-Dhadoop.log.dir={}", folder.display()),
        format!("-Droot.logger={says},console"),
    ]);
    let realm = folder.join("krb5.conf");
    if realm.is_file() {
        command.arg(format!("-Djava.security.krb5.conf={}", realm.display()));
    }
    command.args(OPENED);
    command.args(["-cp", &class_path]).arg(class);
    command.env("HADOOP_CONF_DIR", conf);
    command
}

/// Runs a program to its end; it says only what it has to.
pub fn run(folder: &Path, class: &str, arguments: &[&str], envs: &[(&str, &str)]) -> Output {
    let mut command = command(folder, class, "WARN");
    command.args(arguments).envs(envs.iter().copied());
    command.stdin(Stdio::null());
    command.output().expect("java can be run")
}

/// Makes the NameNodes' folders. A formatted one is kept beside the jars, and copied: formatting takes a Java program's start.
pub fn format(folder: &Path, namenodes: usize) {
    let template = hadoop().join(if namenodes > 1 {
        "formatted-ha"
    } else {
        "formatted"
    });
    if !template.join("current/VERSION").is_file() {
        make_template(folder, namenodes, &template);
    }
    for n in 0..namenodes {
        copy(&template, &folder.join(format!("namenode{n}")));
    }
    if namenodes > 1 {
        copy(&template.join("edits"), &folder.join("edits"));
    }
}

fn make_template(folder: &Path, namenodes: usize, template: &Path) {
    let mut arguments = vec!["-format", "-force", "-nonInteractive"];
    if namenodes > 1 {
        arguments.splice(0..0, ["-D", "dfs.ha.namenode.id=nn1"]);
    }
    let output = run(folder, NAMENODE, &arguments, &[]);
    assert!(
        output.status.success(),
        "formatting the NameNode: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let made = folder.join("namenode0");
    if namenodes > 1 {
        std::fs::rename(folder.join("edits"), made.join("edits")).expect("an own folder");
    }
    // Copied under another name first: two test programs may do this at once, and a half copied one must not be found.
    let copied = template.with_extension(std::process::id().to_string());
    copy(&made, &copied);
    if std::fs::rename(&copied, template).is_err() {
        std::fs::remove_dir_all(&copied).expect("an own folder");
    }
    std::fs::remove_dir_all(&made).expect("an own folder");
}

fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-r").arg(from).arg(to).status();
    assert!(
        status.expect("cp can be run").success(),
        "copying {}",
        from.display()
    );
}
