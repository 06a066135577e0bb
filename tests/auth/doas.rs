//! `doas=`: hue acts for alice, from this machine; for nobody else, and nobody else does.

use crate::desk::{Desk, SIMPLE};

#[test]
fn proxy_users_act_for_whom_they_may() {
    let desk = Desk::open();
    let ask = |user: &str, query: &str| {
        desk.negotiate(user, &[&desk.url(&format!("/?op=GETHOMEDIRECTORY{query}"))])
    };
    for query in ["&doas=alice", "&doAs=alice", "&user.name=hue&doas=alice"] {
        let said = ask("hue", query);
        assert!(
            said.status == 200 && said.body.contains("/user/alice"),
            "{said:?}"
        );
    }
    let said = ask("hue", "&doas=bob");
    assert!(
        said.status == 403
            && said
                .body
                .contains("User: hue is not allowed to impersonate bob"),
        "{said:?}"
    );
    assert!(said.body.contains("auth.proxy_user.hue.users"), "{said:?}");
    let said = ask("alice", "&doas=hue");
    assert!(
        said.status == 403 && said.body.contains("AuthorizationException"),
        "{said:?}"
    );
    assert_eq!(ask("hue", "&doas=a/b").status, 400);
    // A token that hue gets for alice is alice's.
    let said = desk.negotiate("hue", &[&desk.url("/?op=GETDELEGATIONTOKEN&doas=alice")]);
    let value: serde_json::Value = serde_json::from_str(&said.body).unwrap();
    let token = value["Token"]["urlString"].as_str().unwrap();
    let none = desk.kdc.path("nobody");
    let said = desk.curl(
        &none,
        &[&desk.url(&format!("/?op=GETHOMEDIRECTORY&delegation={token}"))],
    );
    assert!(
        said.status == 200 && said.body.contains("/user/alice"),
        "{said:?}"
    );
}

#[test]
fn simple_is_believed_only_where_it_is_switched_on() {
    let desk = Desk::with(SIMPLE);
    let none = desk.kdc.path("nobody");
    let ask = |query: &str| {
        desk.curl(
            &none,
            &[&desk.url(&format!("/?op=GETHOMEDIRECTORY{query}"))],
        )
    };
    assert!(ask("&user.name=bob").body.contains("/user/bob"));
    assert_eq!(ask("").status, 401);
    assert_eq!(ask("&user.name=bob&doas=alice").status, 403);
    assert!(
        ask("&user.name=hue&doas=alice")
            .body
            .contains("/user/alice")
    );
}
