//! Controller and agents over TCP: who is let in, who is not, and files that change under running processes.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::process::{Process, channel, until};
use moongate_proto::csi as api;
use moongate_proto::csi::controller_client::ControllerClient;
use moongate_tests::beds::gluster::{Gluster, NODES, host};
use rcgen::{
    BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType,
    date_time_ymd,
};

const CONTROLLER: &str = "controller.csi.moongate.io";
const AGENT: &str = "agent.csi.moongate.io";
const LIMIT: Duration = Duration::from_secs(30);

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::DigitalSignature,
        ];
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self {
            issuer: Issuer::new(params, key),
            pem,
        }
    }

    /// Writes what `[tls]` names into a folder.
    fn write(&self, folder: &Path, params: &CertificateParams) {
        fs::create_dir_all(folder).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        fs::write(folder.join("ca.pem"), &self.pem).unwrap();
        fs::write(folder.join("tls.key"), key.serialize_pem()).unwrap();
        fs::write(folder.join("tls.pem"), certificate.pem()).unwrap();
    }
}

fn named(name: &str) -> CertificateParams {
    CertificateParams::new(vec![name.to_owned()]).unwrap()
}

/// An agent's, on this host.
fn agent(node: usize) -> CertificateParams {
    let mut params = named(AGENT);
    let address = host(node).parse().unwrap();
    params.subject_alt_names.push(SanType::IpAddress(address));
    params
}

fn expired() -> CertificateParams {
    let mut params = named(CONTROLLER);
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2021, 1, 1);
    params
}

fn section(folder: &Path) -> String {
    let folder = folder.display();
    format!(
        "[tls]\nca = \"{folder}/ca.pem\"\ncertificate = \"{folder}/tls.pem\"\nkey = \"{folder}/tls.key\"\n"
    )
}

fn start_agents(gluster: &Gluster, authority: &Authority) -> Vec<Process> {
    let start = |node: usize| {
        let folder = gluster.path().join(format!("tls-{node}"));
        authority.write(&folder, &agent(node));
        let disk = gluster.folder(node).join("disk");
        let config = format!(
            "[agent]\ndisk = \"{}\"\n{}",
            disk.display(),
            section(&folder)
        );
        let endpoint = format!("tcp://{}:9340", host(node));
        Process::start(gluster, node, "agent", &endpoint, &config)
    };
    (1..=NODES).map(start).collect()
}

/// A controller with this certificate, and where it listens.
fn controller(gluster: &Gluster, name: &str, tls: &Path) -> (Process, PathBuf) {
    let socket = gluster.path().join(format!("{name}.sock"));
    let agents = (1..=NODES).map(|node| {
        let host = host(node);
        format!("[[agents]]\nhost = \"{host}\"\naddress = \"https://{host}:9340\"\n")
    });
    let config = agents.collect::<String>() + &section(tls);
    (
        Process::listening(gluster, "controller", &socket, &config),
        socket,
    )
}

/// Room for a volume of three copies: there is some only if all agents answer.
async fn room(socket: &Path) -> i64 {
    let mut client = ControllerClient::new(channel(socket));
    let answer = client.get_capacity(api::GetCapacityRequest::default());
    answer
        .await
        .map_or(0, |answer| answer.into_inner().available_capacity)
}

async fn is_let_in(socket: &Path) {
    until("the agents let it in", LIMIT, async || {
        room(socket).await > 0
    })
    .await;
}

#[tokio::test]
async fn agents_let_in_the_controller_and_nobody_else() {
    let gluster = Gluster::start();
    let (ours, theirs) = (Authority::new(), Authority::new());
    let agents = start_agents(&gluster, &ours);
    let folder = |name: &str| gluster.path().join(name);

    ours.write(&folder("good"), &named(CONTROLLER));
    let (good, socket) = controller(&gluster, "good", &folder("good"));
    is_let_in(&socket).await;

    // Another authority's; one that has expired; an agent's own.
    theirs.write(&folder("other"), &named(CONTROLLER));
    fs::write(folder("other").join("ca.pem"), &ours.pem).unwrap();
    ours.write(&folder("expired"), &expired());
    ours.write(&folder("agents"), &agent(1));
    for name in ["other", "expired", "agents"] {
        let (_refused, socket) = controller(&gluster, name, &folder(name));
        assert_eq!(room(&socket).await, 0, "{name}");
    }
    let said = agents[0].log();
    assert!(said.contains(CONTROLLER), "it says what is missing: {said}");
    assert!(said.contains("a caller was refused"), "{said}");

    // A controller's certificate does not make an agent.
    ours.write(&folder("tls-1"), &named(CONTROLLER));
    drop(good);
    let (good, socket) = controller(&gluster, "good", &folder("good"));
    assert_eq!(room(&socket).await, 0);

    // All certificates are exchanged under the running agents.
    for node in 1..=NODES {
        theirs.write(&folder(&format!("tls-{node}")), &agent(node));
    }
    drop(good);
    let (old, socket) = controller(&gluster, "good", &folder("good"));
    assert_eq!(room(&socket).await, 0);
    theirs.write(&folder("good"), &named(CONTROLLER));
    is_let_in(&socket).await;
    drop((old, agents));
}
