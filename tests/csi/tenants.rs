//! Tenants side by side on one node: each volume lets in its tenant's certificate and nobody else's, whatever the other presents.

use std::collections::HashMap;

use moongate_tests::beds::gluster::{Gluster, NODES};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use tonic::Code;

use crate::driver::Driver;
use crate::kubelet::{Claim, Kubelet, delete, provision, text};

const SERVERS: &str = "gluster-servers";
/// The same path on each gluster node.
const FOLDER: &str = "/run/moongate-tls";

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new() -> Self {
        let mut params = named("authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(params, key);
        Self { issuer, pem }
    }

    /// A node-stage secret.
    fn secret(&self, name: &str) -> HashMap<String, String> {
        let key = KeyPair::generate().unwrap();
        let certificate = named(name).signed_by(&key, &self.issuer).unwrap();
        HashMap::from([
            ("tls.crt".to_owned(), certificate.pem()),
            ("tls.key".to_owned(), key.serialize_pem()),
            ("ca.crt".to_owned(), self.pem.clone()),
        ])
    }
}

fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn arm_servers(gluster: &Gluster, authority: &Authority) {
    for node in 1..=NODES {
        let secret = authority.secret(SERVERS);
        let folder = gluster.folder(node);
        for (name, text) in &secret {
            std::fs::write(folder.join(name), text).unwrap();
        }
        let words = format!(
            "mkdir -p {FOLDER} && cp {0}/tls.crt {0}/tls.key {0}/ca.crt {FOLDER}/",
            folder.display()
        );
        gluster.node(node, "sh", &["-c", &words]);
    }
}

async fn provision_for(driver: &Driver, tenant: &str) -> Claim {
    let allow = format!("{SERVERS},{tenant}");
    let options = format!(
        "ssl.own-cert {FOLDER}/tls.crt, ssl.private-key {FOLDER}/tls.key, ssl.ca-list {FOLDER}/ca.crt"
    );
    let parameters = [("sslallow", allow.as_str()), ("volumeoptions", &options)];
    provision(&mut driver.controller().await, tenant, 64, &parameters).await
}

/// Refused, and nothing is there.
async fn is_refused(kubelet: &Kubelet<'_>, claim: &Claim) {
    let error = kubelet.stage(claim).await.unwrap_err();
    assert_eq!(error.code(), Code::Unavailable, "{error}");
    let mounts = kubelet.gluster.client("cat", &["/proc/self/mountinfo"]);
    assert!(!mounts.contains(&text(&kubelet.staging(claim))), "{mounts}");
    kubelet.unstage(claim).await.unwrap();
}

#[tokio::test]
async fn the_secret_of_one_tenant_cannot_touch_the_volume_of_another() {
    let driver = Driver::start();
    let (authority, foreign) = (Authority::new(), Authority::new());
    arm_servers(&driver.gluster, &authority);
    let kubelet = Kubelet::start(&driver.gluster, "");
    let mut a = provision_for(&driver, "tenant-a").await;
    let mut b = provision_for(&driver, "tenant-b").await;
    a.secrets = authority.secret("tenant-a");
    b.secrets = authority.secret("tenant-b");
    for (claim, pod) in [(&a, "a"), (&b, "b")] {
        kubelet.stage(claim).await.unwrap();
        kubelet.publish(claim, pod, false).await.unwrap();
        let file = text(&kubelet.target(claim, pod).join(pod));
        driver.gluster.client("touch", &[&file]);
    }

    // Another PV over the same volume, staged while its owner has it: with the wrong name, without any, and with a name of one's own making.
    let mut thief = a.clone();
    thief.volume.volume_id = "thief".to_owned();
    thief
        .volume
        .volume_context
        .insert("volume".to_owned(), a.id());
    for secrets in [
        b.secrets.clone(),
        HashMap::new(),
        foreign.secret("tenant-a"),
    ] {
        thief.secrets = secrets;
        is_refused(&kubelet, &thief).await;
    }
    thief.secrets = a.secrets.clone();
    kubelet.stage(&thief).await.unwrap();
    kubelet.unstage(&thief).await.unwrap();

    for (claim, pod) in [(&a, "a"), (&b, "b")] {
        let file = text(&kubelet.target(claim, pod).join("again"));
        driver.gluster.client("touch", &[&file]);
        kubelet.unpublish(claim, pod).await.unwrap();
        kubelet.unstage(claim).await.unwrap();
    }
    kubelet.nothing_is_left();
    for claim in [&a, &b] {
        delete(&mut driver.controller().await, claim).await;
    }
    driver.nothing_is_left();
}
