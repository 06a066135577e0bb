use proptest::prelude::*;

use super::*;
use crate::{Groups, Method};

fn settings(name: &str) -> TenantSettings {
    TenantSettings {
        name: name.to_owned(),
        paths: vec![format!("/warehouse/{name}"), format!("/{name}")],
        collections: vec![format!("pictures-{name}")],
        users: vec![format!("user-{name}")],
        groups: vec![format!("group-{name}")],
        ..TenantSettings::default()
    }
}

fn two() -> Tenants {
    Tenants::new(vec![settings("a"), settings("b")]).unwrap()
}

fn identity(user: &str, groups: Groups) -> Identity {
    Identity {
        user: user.into(),
        principal: user.into(),
        groups,
        real_user: None,
        tenant: None,
        method: Method::Simple,
    }
}

#[test]
fn somebody_belongs_to_a_tenant_by_name_group_or_token() {
    let tenants = two();
    let of = |identity: &Identity| tenants.of(identity).map(|name| name.to_string());
    let by_user = identity("user-a", Groups::known(["group-b"]));
    assert_eq!(of(&by_user).as_deref(), Some("a"));
    let by_group = identity("x", Groups::known(["y", "group-b"]));
    assert_eq!(of(&by_group).as_deref(), Some("b"));
    assert_eq!(of(&identity("x", Groups::Unknown)), None);
    let by_token = Identity {
        tenant: Some("b".into()),
        ..by_user
    };
    assert_eq!(of(&by_token).as_deref(), Some("b"));
}

#[test]
fn each_cell_of_the_table() {
    let tenants = two();
    for (tenant, path, entry, all) in [
        (Some("a"), "/a", true, true),
        (Some("a"), "/a/x/y", true, true),
        (Some("a"), "//a///x/", true, true),
        (Some("a"), "/./a/x", true, true),
        (Some("a"), "/warehouse/a/t", true, true),
        (Some("a"), "/warehouse/ab", false, false),
        (Some("a"), "/warehouse/A", false, false),
        (Some("a"), "/warehouse", false, false),
        (Some("a"), "/", false, false),
        (Some("a"), "/b", false, false),
        (Some("a"), "/a/../b", false, false),
        (Some("a"), "/a/..", false, false),
        (Some("a"), "/free", false, false),
        (Some("c"), "/a", false, false),
        (Some("c"), "/free", false, false),
        (None, "/a", false, false),
        (None, "/a/x", false, false),
        (None, "/free", true, true),
        (None, "/", true, false),
        (None, "/warehouse", true, false),
        (None, "/warehouse/c", true, true),
    ] {
        assert_eq!(
            tenants.may_touch(tenant, path).is_ok(),
            entry,
            "{tenant:?} {path}"
        );
        assert_eq!(
            tenants.may_touch_all(tenant, path).is_ok(),
            all,
            "{tenant:?} {path}"
        );
    }
    for (tenant, collection, may) in [
        (Some("a"), "pictures-a", true),
        (Some("a"), "pictures-b", false),
        (Some("a"), "", false),
        (None, "pictures-a", false),
        (None, "", true),
    ] {
        assert_eq!(
            tenants.may_use(tenant, collection).is_ok(),
            may,
            "{tenant:?} {collection}"
        );
    }
}

#[test]
fn without_tenants_there_is_no_rule() {
    let none = Tenants::default();
    assert!(none.may_touch(Some("a"), "/x/../y").is_ok());
    assert!(none.may_touch_all(None, "/").is_ok() && none.may_use(Some("a"), "c").is_ok());
    assert!(none.admit(Some("a"), Instant::now()).is_ok());
}

#[test]
fn what_two_claim_is_told() {
    let wrong = |change: fn(&mut TenantSettings)| {
        let mut second = settings("b");
        change(&mut second);
        Tenants::new(vec![settings("a"), second]).unwrap_err()
    };
    assert!(wrong(|second| second.name = "a".to_owned()).contains("the name"));
    assert!(wrong(|second| second.users = vec!["user-a".to_owned()]).contains("the user"));
    assert!(
        wrong(|second| second.collections = vec!["pictures-a".to_owned()])
            .contains("the collection")
    );
    for path in ["/a/x", "/warehouse", "/a/", "/", "a", "/x/../a", ""] {
        let mut second = settings("b");
        second.paths = vec![path.to_owned()];
        assert!(Tenants::new(vec![settings("a"), second]).is_err(), "{path}");
    }
}

#[test]
fn a_quota_says_which_by_how_much() {
    let mut limited = settings("a");
    (limited.bytes_max, limited.objects_max) = (1000, 3);
    let tenants = Tenants::new(vec![limited]).unwrap();
    let tenant = tenants.named("a").unwrap();
    let early = tenant.make_room(1, 1).unwrap_err();
    assert!(matches!(early, Over::NotCounted { .. }), "{early}");
    tenant.counted(tenant.begin_count(), 900, 1);
    assert!(tenant.make_room(100, 1).is_ok());
    let text = tenant.make_room(50, 1).unwrap_err().to_string();
    assert!(
        text.contains("1000 bytes stored")
            && text.contains("50 over its quota of 1000 (bytes_max)"),
        "{text}"
    );
    let count = tenant.begin_count();
    assert!(tenant.make_room(0, 1).is_ok(), "while it is counted");
    // What was let in before it began may not have arrived when it was counted.
    tenant.counted(count, 0, 1);
    assert_eq!(tenant.stored(), (100, 3));
    tenant.counted(tenant.begin_count(), 0, 3);
    assert_eq!(tenant.stored(), (0, 4), "the later one is held once more");
    tenant.counted(tenant.begin_count(), 0, 3);
    assert_eq!(tenant.stored(), (0, 3));
    let text = tenant.make_room(0, 1).unwrap_err().to_string();
    assert!(
        text.contains("1 over its quota of 3 (objects_max)"),
        "{text}"
    );
    assert_eq!(tenant.refused.load(Ordering::Relaxed), 2);
}

#[test]
fn a_rate_says_when() {
    let mut limited = settings("a");
    (limited.requests_per_sec, limited.bytes_per_sec) = (2, 1000);
    let tenants = Tenants::new(vec![limited, settings("b")]).unwrap();
    let now = Instant::now();
    let admit = |tenant| tenants.admit(Some(tenant), now);
    assert!(admit("a").is_ok() && admit("a").is_ok());
    let text = admit("a").unwrap_err().to_string();
    assert!(
        text.contains("2 requests a second (requests_per_sec): try again in 1 s"),
        "{text}"
    );
    assert!(admit("b").is_ok());
    tenants.charge(Some("a"), 31_000, now);
    let text = admit("a").unwrap_err().to_string();
    assert!(
        text.contains("bytes_per_sec") && text.contains("in 30 s"),
        "{text}"
    );
}

proptest! {
    #[test]
    fn no_spelling_of_a_path_crosses_a_border(path in "/[ab./]{0,12}") {
        let tenants = two();
        let clean: Vec<&str> = path.split('/').filter(|name| !matches!(*name, "" | ".")).collect();
        let own = clean.first() == Some(&"a") && !clean.contains(&"..");
        prop_assert_eq!(tenants.may_touch(Some("a"), &path).is_ok(), own);
    }
}
