use super::*;
use crate::backend::FileKind;

pub fn status(name: &str, len: u64) -> Status {
    Status {
        name: name.to_owned(),
        kind: FileKind::File,
        len,
        modified_ms: 1,
        accessed_ms: 0,
        owner: "u".into(),
        group: "g".into(),
        permission: 0o644,
        replication: 1,
        block_bytes: 1 << 27,
        etag: None,
    }
}

const TTL: Duration = Duration::from_secs(30);

fn names() -> (Names, crate::clock::Hand) {
    let (clock, hand) = Clock::manual();
    let bounds = NameBounds {
        statuses_bytes: 1 << 20,
        listings_bytes: 1 << 20,
    };
    (Names::new(bounds, TTL, clock, Arc::default()), hand)
}

fn known(len: u64) -> Known {
    Some(Arc::new(status("", len)))
}

#[test]
fn answers_grow_too_old() {
    let (names, hand) = names();
    names.learn("/a", known(1), names.moment());
    names.learn("/gone", None, names.moment());
    assert_eq!(names.status("/a").unwrap().0, known(1));
    assert_eq!(names.status("/gone").unwrap().0, None);
    hand.advance(TTL - Duration::from_nanos(1));
    assert!(names.status("/a").is_some());
    hand.advance(Duration::from_nanos(1));
    assert!(names.status("/a").is_none() && names.status("/gone").is_none());
}

#[test]
fn the_age_counts_from_the_question() {
    let (names, hand) = names();
    let asked = names.moment();
    hand.advance(TTL);
    names.learn("/a", known(1), asked);
    assert!(names.status("/a").is_none());
}

#[test]
fn an_answer_that_raced_with_a_change_is_not_kept() {
    let (names, _) = names();
    let asked = names.moment();
    names.forget("/a");
    names.learn("/a", known(1), asked);
    assert!(names.status("/a").is_none());
    names.learn("/a", known(2), names.moment());
    assert!(names.status("/a").is_some());
    names.forget_tree("/");
    assert!(names.status("/a").is_none());
}

#[test]
fn of_two_answers_that_differ_and_overlap_none_is_kept() {
    let (names, _) = names();
    let (first, second) = (names.moment(), names.moment());
    names.learn("/a", known(2), second);
    names.learn("/a", known(1), first);
    assert!(names.status("/a").is_none());
}

#[test]
fn parents_are_all_folders_above() {
    assert_eq!(parents("/a/b/c").collect::<Vec<_>>(), ["/a/b", "/a", "/"]);
    assert_eq!(parents("/a").collect::<Vec<_>>(), ["/"]);
    assert_eq!(parents("/").count(), 0);
}

fn listing(names: &[&str], more: bool) -> Listing {
    Listing {
        entries: names.iter().map(|name| status(name, 1)).collect(),
        more,
    }
}

fn of(listing: &Listing) -> Vec<&str> {
    listing.entries.iter().map(|e| e.name.as_str()).collect()
}

#[test]
fn a_listing_is_answered_from_its_beginning() {
    let (names, _) = names();
    names.learn_listing("/d", None, &listing(&["a", "b", "c"], true), names.moment());
    let first = names.listing("/d", None, 2).unwrap();
    assert_eq!((of(&first), first.more), (vec!["a", "b"], true));
    assert!(names.listing("/d", Some("b"), 2).is_none());
    names.learn_listing("/d", Some("c"), &listing(&["d"], false), names.moment());
    let rest = names.listing("/d", Some("b"), 9).unwrap();
    assert_eq!((of(&rest), rest.more), (vec!["c", "d"], false));
    assert_eq!(of(&names.listing("/d", None, 9).unwrap()).len(), 4);
    names.forget("/d");
    assert!(names.listing("/d", None, 1).is_none());
}

#[test]
fn a_part_that_does_not_follow_is_not_kept() {
    let (names, _) = names();
    names.learn_listing("/d", None, &listing(&["a"], true), names.moment());
    names.learn_listing("/d", Some("m"), &listing(&["n"], false), names.moment());
    assert!(names.listing("/d", None, 9).is_none());
}
