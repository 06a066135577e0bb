use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use parking_lot::Mutex;
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};

use super::super::claims::Required;
use super::super::rules::Mapping;
use super::super::{IssuerConfig, KeysFrom};
use super::*;
use crate::fetch::Fetch;

const NOW: u64 = 1_800_000_000;
const ISSUER: &str = "https://issuer";

/// A key of an issuer's.
struct Signer {
    pair: EcdsaKeyPair,
    kid: &'static str,
}

impl Signer {
    fn new(kid: &'static str) -> Self {
        let random = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let key = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, key.as_ref(), &random).unwrap();
        Self { pair, kid }
    }

    fn jwk(&self) -> Value {
        let point = self.pair.public_key().as_ref();
        let part = |range: std::ops::Range<usize>| URL_SAFE_NO_PAD.encode(&point[range]);
        json!({"kty": "EC", "crv": "P-256", "kid": self.kid, "x": part(1..33), "y": part(33..65)})
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        let signed = unsigned(header, claims);
        let signature = self
            .pair
            .sign(&SystemRandom::new(), signed.as_bytes())
            .unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn token(&self, claims: &Value) -> String {
        self.sign(&json!({"alg": "ES256", "kid": self.kid}), claims)
    }
}

fn unsigned(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}", part(header), part(claims))
}

fn claims() -> Value {
    json!({"iss": ISSUER, "sub": "ann", "aud": ["moongate"], "exp": NOW + 60, "groups": ["a"]})
}

/// An issuer's documents by URL, and how often they were asked for.
#[derive(Default)]
struct Documents {
    by_url: Mutex<HashMap<String, String>>,
    asked: Mutex<Vec<String>>,
}

impl Documents {
    fn publish(&self, signers: &[&Signer]) {
        let keys: Vec<Value> = signers.iter().map(|signer| signer.jwk()).collect();
        let mut by_url = self.by_url.lock();
        by_url.insert(
            format!("{ISSUER}/.well-known/openid-configuration"),
            json!({"issuer": ISSUER, "jwks_uri": "https://issuer/keys"}).to_string(),
        );
        by_url.insert(
            "https://issuer/keys".to_owned(),
            json!({"keys": keys}).to_string(),
        );
    }
}

#[async_trait]
impl Fetch for Documents {
    async fn get(&self, url: &str) -> Result<Bytes, String> {
        self.asked.lock().push(url.to_owned());
        let document = self.by_url.lock().get(url).cloned();
        document
            .map(Bytes::from)
            .ok_or_else(|| "it is away".to_owned())
    }
}

fn verifier(documents: &Arc<Documents>, ask_interval: Duration) -> Verifier {
    let config = IssuerConfig {
        name: ISSUER.to_owned(),
        keys: KeysFrom::Discovery,
        required: Required {
            audiences: vec!["moongate".to_owned()],
            leeway_secs: 30,
        },
        algorithms: Vec::new(),
        mapping: Mapping {
            user_claim: "sub".to_owned(),
            groups_claim: "groups".to_owned(),
            ..Mapping::default()
        },
    };
    let fetch: Arc<dyn Fetch> = Arc::clone(documents) as _;
    Verifier::new(vec![
        Issuer::with_interval(config, fetch, ask_interval).unwrap(),
    ])
}

async fn user(verifier: &Verifier, token: &str) -> Result<String, Refused> {
    let verified = verifier.verify_at(token, NOW).await?;
    Ok(verified.identity.user.to_string())
}

#[tokio::test]
async fn a_good_token_is_its_user_and_is_checked_once() {
    let (documents, signer) = (Arc::new(Documents::default()), Signer::new("1"));
    documents.publish(&[&signer]);
    let verifier = verifier(&documents, Duration::ZERO);
    let token = signer.token(&claims());
    let verified = verifier.verify_at(&token, NOW).await.unwrap();
    assert_eq!(&*verified.identity.user, "ann");
    assert_eq!(verified.identity.groups, Groups::known(["a"]));
    assert!(verified.groups_told && verified.identity.method == Method::Jwt);
    assert_eq!(verifier.verify_at(&token, NOW).await.unwrap(), verified);
    assert_eq!(documents.asked.lock().len(), 2);
    // What is remembered ends with the token.
    let late = verifier.verify_at(&token, NOW + 100).await;
    assert_eq!(late, Err(Refused::Expired(40)));
}

#[tokio::test]
async fn what_is_not_signed_by_the_issuer_is_refused() {
    let (documents, signer) = (Arc::new(Documents::default()), Signer::new("1"));
    documents.publish(&[&signer]);
    let verifier = verifier(&documents, Duration::ZERO);
    let forged = Signer::new("1").token(&claims());
    assert_eq!(user(&verifier, &forged).await, Err(Refused::Signature));
    let good = signer.token(&claims());
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let mut other = claims();
    other["sub"] = json!("root");
    let changed = format!(
        "{}.{signature}",
        unsigned(&json!({"alg": "ES256", "kid": "1"}), &other)
    );
    assert_eq!(user(&verifier, &changed).await, Err(Refused::Signature));
    assert_eq!(
        user(&verifier, &format!("{signed}.")).await,
        Err(Refused::Signature)
    );
    let unknown = Signer::new("2").token(&claims());
    assert_eq!(user(&verifier, &unknown).await, Err(Refused::UnknownKey));
    other["iss"] = json!("https://other");
    assert_eq!(
        user(&verifier, &signer.token(&other)).await,
        Err(Refused::Issuer)
    );
}

#[tokio::test]
async fn an_algorithm_is_the_keys_and_not_the_tokens() {
    let (documents, signer) = (Arc::new(Documents::default()), Signer::new("1"));
    documents.publish(&[&signer]);
    let verifier = verifier(&documents, Duration::ZERO);
    for alg in ["none", "None", "HS256", "RS256", "ES384", "EdDSA", ""] {
        let header = json!({"alg": alg, "kid": "1"});
        let token = signer.sign(&header, &claims());
        assert_eq!(
            user(&verifier, &token).await,
            Err(Refused::Algorithm),
            "{alg}"
        );
        // As one who knows the public key alone would: it is the secret of HS256.
        let signed = unsigned(&header, &claims());
        let public = hmac::Key::new(hmac::HMAC_SHA256, signer.pair.public_key().as_ref());
        let signature = URL_SAFE_NO_PAD.encode(hmac::sign(&public, signed.as_bytes()));
        let token = format!("{signed}.{signature}");
        assert_eq!(
            user(&verifier, &token).await,
            Err(Refused::Algorithm),
            "{alg}"
        );
    }
}

#[tokio::test]
async fn keys_roll_over_and_old_ones_end() {
    let documents = Arc::new(Documents::default());
    let (old, new) = (Signer::new("old"), Signer::new("new"));
    documents.publish(&[&old]);
    let verifier = verifier(&documents, Duration::ZERO);
    let (by_old, by_new) = (old.token(&claims()), new.token(&claims()));
    assert!(user(&verifier, &by_old).await.is_ok());
    documents.publish(&[&old, &new]);
    assert!(user(&verifier, &by_new).await.is_ok());
    assert!(user(&verifier, &by_old).await.is_ok());
    documents.publish(&[&new]);
    verifier.issuers()[0].ask().await;
    assert_eq!(user(&verifier, &by_old).await, Err(Refused::UnknownKey));
    assert!(user(&verifier, &by_new).await.is_ok());
}

#[tokio::test]
async fn an_issuer_that_is_away_takes_no_known_key_along() {
    let (documents, signer) = (Arc::new(Documents::default()), Signer::new("1"));
    let verifier = verifier(&documents, Duration::ZERO);
    let token = signer.token(&claims());
    assert_eq!(user(&verifier, &token).await, Err(Refused::KeysAway));
    documents.publish(&[&signer]);
    assert!(user(&verifier, &token).await.is_ok());
    documents.by_url.lock().clear();
    verifier.issuers()[0].ask().await;
    let (age, failure) = verifier.issuers()[0].state().unwrap();
    assert!(age.is_some() && failure.unwrap().contains("away"));
    assert!(user(&verifier, &signer.token(&claims())).await.is_ok());
}

#[tokio::test]
async fn unknown_key_ids_do_not_make_the_issuer_suffer() {
    let (documents, signer) = (Arc::new(Documents::default()), Signer::new("1"));
    documents.publish(&[&signer]);
    let verifier = verifier(&documents, Duration::from_secs(3600));
    for _ in 0..20 {
        let unknown = Signer::new("2").token(&claims());
        assert_eq!(user(&verifier, &unknown).await, Err(Refused::UnknownKey));
    }
    assert_eq!(documents.asked.lock().len(), 2);
}

#[tokio::test]
async fn a_discovery_document_of_another_issuer_is_not_believed() {
    let (documents, signer) = (Arc::new(Documents::default()), Signer::new("1"));
    documents.publish(&[&signer]);
    let other = json!({"issuer": "https://evil", "jwks_uri": "https://issuer/keys"}).to_string();
    let url = format!("{ISSUER}/.well-known/openid-configuration");
    documents.by_url.lock().insert(url, other);
    let verifier = verifier(&documents, Duration::ZERO);
    assert_eq!(
        user(&verifier, &signer.token(&claims())).await,
        Err(Refused::KeysAway)
    );
}
