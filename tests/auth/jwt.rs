//! Tokens of an issuer: who is let in by them, and who is not.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use moongate_tests::{Gateway, Request, http};
use ring::hmac;
use serde_json::{Value, json};

use crate::issuer::{Issuer, Signer, bearer, now, unsigned};

fn ask(gateway: &Gateway, token: &str) -> (u16, Value) {
    let request = bearer(Request::get("/whoami"), token);
    let answer = http::send(gateway.admin(), &request).unwrap();
    (
        answer.status,
        serde_json::from_slice(&answer.body).unwrap_or_default(),
    )
}

fn refused(gateway: &Gateway, token: &str, says: &str) {
    let (status, told) = ask(gateway, token);
    assert_eq!(status, 401, "{token}: {told}");
    let text = told["error"].as_str().unwrap();
    assert!(text.contains(says), "{text} should say {says}");
}

#[test]
fn a_token_is_its_user_on_every_port() {
    let signer = Signer::new("1");
    let issuer = Issuer::start(&[&signer]);
    let gateway = Gateway::fresh(&issuer.config(
        "kubernetes = true\nrules = [{ matches = 'system:serviceaccount:team-*:*', user = '{1}-{2}', groups = ['team-{1}'] }]",
    ));
    let (status, told) = ask(
        &gateway,
        &signer.token(&issuer.claims("system:serviceaccount:team-a:spark")),
    );
    assert_eq!((status, &told["user"]), (200, &json!("a-spark")), "{told}");
    assert_eq!(told["groups"][0], "team-a");
    assert_eq!(told["method"], "jwt");
    let token = signer.token(&issuer.claims("ann"));
    assert_eq!(ask(&gateway, &token).1["user"], "ann");
    for (port, path) in [
        (gateway.image(), "/dir/assign"),
        (gateway.file(), "/"),
        (gateway.file(), "/webhdfs/v1/?op=LISTSTATUS"),
        (gateway.admin(), "/status"),
    ] {
        let with = http::send(port, &bearer(Request::get(path), &token)).unwrap();
        assert_eq!(with.status, 200, "{path}");
        let without = http::send(port, &Request::get(path)).unwrap();
        assert_eq!(without.status, 401, "{path}");
    }
    assert!(
        issuer.asked() <= 2,
        "keys are asked for once, not {} times",
        issuer.asked()
    );
}

#[test]
fn what_is_wrong_with_a_token_is_said() {
    let signer = Signer::new("1");
    let issuer = Issuer::start(&[&signer]);
    let gateway = Gateway::fresh(&issuer.config(""));
    let with = |change: &dyn Fn(&mut Value)| {
        let mut claims = issuer.claims("ann");
        change(&mut claims);
        signer.token(&claims)
    };
    refused(
        &gateway,
        &with(&|claims| claims["exp"] = json!(now() - 100)),
        "expired 10",
    );
    refused(
        &gateway,
        &with(&|claims| claims["nbf"] = json!(now() + 100)),
        "valid only in",
    );
    refused(
        &gateway,
        &with(&|claims| claims["aud"] = json!("other")),
        "another audience (aud): ask for one for moongate",
    );
    refused(
        &gateway,
        &with(&|claims| claims["iss"] = json!("https://evil")),
        "issuer",
    );
    refused(
        &gateway,
        &with(&|claims| claims["sub"] = json!("system:serviceaccount:a:b")),
        "claim sub",
    );
    refused(
        &gateway,
        &with(&|claims| drop(claims.as_object_mut().unwrap().remove("exp"))),
        "claim exp",
    );
    refused(
        &gateway,
        &Signer::new("1").token(&issuer.claims("ann")),
        "signature does not fit",
    );
    refused(
        &gateway,
        &Signer::new("2").token(&issuer.claims("ann")),
        "key id (kid) is unknown",
    );
    refused(&gateway, "a.b.c", "malformed");
    refused(&gateway, &"x".repeat(20_000), "longer than 16 kB");
    let good = with(&|_| {});
    refused(&gateway, &good[..good.len() - 4], "the token");
    refused(&gateway, &good[..good.len() / 2], "malformed");
    assert_eq!(ask(&gateway, &good).0, 200);
}

#[test]
fn no_algorithm_is_the_tokens_own_choice() {
    let signer = Signer::new("1");
    let issuer = Issuer::start(&[&signer]);
    let gateway = Gateway::fresh(&issuer.config(""));
    let claims = issuer.claims("root");
    for alg in ["none", "NONE", "HS256", "RS256", "ES384"] {
        let header = json!({"alg": alg, "kid": "1"});
        let text = unsigned(&header, &claims);
        let public = hmac::Key::new(hmac::HMAC_SHA256, signer.public());
        let by_public = URL_SAFE_NO_PAD.encode(hmac::sign(&public, text.as_bytes()));
        for token in [
            format!("{text}."),
            format!("{text}.{by_public}"),
            signer.sign(&header, &claims),
        ] {
            refused(&gateway, &token, "algorithm");
        }
    }
}

#[test]
fn an_issuer_that_is_away_takes_nobody_along() {
    let (old, new) = (Signer::new("old"), Signer::new("new"));
    let issuer = Issuer::start(&[&old, &new]);
    let gateway = Gateway::fresh(&issuer.config(""));
    assert_eq!(ask(&gateway, &old.token(&issuer.claims("ann"))).0, 200);
    issuer.fail();
    assert_eq!(ask(&gateway, &new.token(&issuer.claims("bob"))).0, 200);
    // One that was away from the beginning is a matter of the gateway, not of the token.
    let fresh = Gateway::fresh(&issuer.config(""));
    let (status, told) = ask(&fresh, &new.token(&issuer.claims("bob")));
    assert_eq!(status, 503, "{told}");
}

#[test]
fn keys_in_a_file_roll_over() {
    let (old, new) = (Signer::new("old"), Signer::new("new"));
    let issuer = Issuer::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("jwks.json");
    let write = |signer: &Signer| {
        std::fs::write(&file, json!({"keys": [signer.jwk()]}).to_string()).unwrap()
    };
    write(&old);
    let gateway = Gateway::fresh(&issuer.config(&format!("jwks_file = '{}'", file.display())));
    let (by_old, by_new) = (
        old.token(&issuer.claims("ann")),
        new.token(&issuer.claims("ann")),
    );
    assert_eq!(
        (ask(&gateway, &by_old).0, ask(&gateway, &by_new).0),
        (200, 401)
    );
    write(&new);
    moongate_tests::wait::until_true(
        "the new key is taken",
        std::time::Duration::from_secs(20),
        || ask(&gateway, &by_new).0 == 200,
    );
    refused(&gateway, &by_old, "kid");
}

#[test]
fn random_tokens_are_refused_and_nothing_else_happens() {
    let issuer = Issuer::start(&[&Signer::new("1")]);
    let mut gateway = Gateway::fresh(&issuer.config(""));
    for length in 0..200usize {
        let text: String = (0..length)
            .map(|at| char::from(33 + (at * 7 + length * 31) as u8 % 94))
            .collect();
        let status = ask(&gateway, &text).0;
        assert!(matches!(status, 400 | 401), "{status} for {text}");
    }
    assert!(gateway.is_running() && !gateway.log().contains("panicked"));
}
