use proptest::prelude::*;

use super::*;

/// 15 November 1994, 12:45:26.
const MODIFIED_SECS: u64 = 784_903_526;
const SAME: &str = "Tue, 15 Nov 1994 12:45:26 GMT";
const BEFORE: &str = "Tue, 15 Nov 1994 12:45:25 GMT";
const AFTER: &str = "Tue, 15 Nov 1994 12:45:27 GMT";
const CURRENT: Validators<'static> = Validators {
    etag: "\"abc\"",
    last_modified_secs: Some(MODIFIED_SECS),
};

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        let name: HeaderName = name.parse().unwrap();
        headers.append(name, value.parse().unwrap());
    }
    headers
}

fn get(pairs: &[(&str, &str)]) -> Outcome {
    evaluate(&Method::GET, &headers(pairs), Some(&CURRENT))
}

fn put(pairs: &[(&str, &str)]) -> Outcome {
    evaluate(&Method::PUT, &headers(pairs), Some(&CURRENT))
}

fn put_new(pairs: &[(&str, &str)]) -> Outcome {
    evaluate(&Method::PUT, &headers(pairs), None)
}

use Outcome::{NotModified, PreconditionFailed, Proceed};

#[test]
fn without_conditions_everything_proceeds() {
    assert_eq!(get(&[]), Proceed);
    assert_eq!(put_new(&[("range", "bytes=0-1")]), Proceed);
}

#[test]
fn if_none_match_compares_weakly_in_lists() {
    for hit in [
        "\"abc\"",
        "W/\"abc\"",
        "\"x\", \"abc\"",
        ",, \"x,y\"\t,W/\"abc\" ,",
        "*",
        " * ",
    ] {
        assert_eq!(get(&[("if-none-match", hit)]), NotModified, "{hit}");
        assert_eq!(put(&[("if-none-match", hit)]), PreconditionFailed, "{hit}");
    }
    for miss in [
        "\"abd\"",
        "abc",
        "\"abc",
        "\"x\" junk, \"abc\"",
        "",
        "\"a,\"abc\"\"",
        "w/\"abc\"",
    ] {
        assert_eq!(get(&[("if-none-match", miss)]), Proceed, "{miss}");
    }
}

#[test]
fn if_none_match_counts_over_several_lines() {
    assert_eq!(
        get(&[("if-none-match", "\"x\""), ("if-none-match", "\"abc\"")]),
        NotModified
    );
}

#[test]
fn if_none_match_star_creates_only() {
    assert_eq!(put_new(&[("if-none-match", "*")]), Proceed);
    assert_eq!(put(&[("if-none-match", "*")]), PreconditionFailed);
}

#[test]
fn if_match_compares_strongly() {
    assert_eq!(put(&[("if-match", "\"x\",\"abc\"")]), Proceed);
    assert_eq!(put(&[("if-match", "*")]), Proceed);
    assert_eq!(put(&[("if-match", "W/\"abc\"")]), PreconditionFailed);
    assert_eq!(put(&[("if-match", "\"x\"")]), PreconditionFailed);
    assert_eq!(get(&[("if-match", "\"x\"")]), PreconditionFailed);
    assert_eq!(put_new(&[("if-match", "*")]), PreconditionFailed);
    assert_eq!(put_new(&[("if-match", "\"abc\"")]), PreconditionFailed);
}

#[test]
fn if_modified_since_is_for_reads() {
    assert_eq!(get(&[("if-modified-since", SAME)]), NotModified);
    assert_eq!(get(&[("if-modified-since", AFTER)]), NotModified);
    assert_eq!(get(&[("if-modified-since", BEFORE)]), Proceed);
    assert_eq!(get(&[("if-modified-since", "yesterday")]), Proceed);
    assert_eq!(put(&[("if-modified-since", SAME)]), Proceed);
}

#[test]
fn all_three_date_formats_are_dates() {
    for date in [
        SAME,
        "Tuesday, 15-Nov-94 12:45:26 GMT",
        "Tue Nov 15 12:45:26 1994",
    ] {
        assert_eq!(get(&[("if-modified-since", date)]), NotModified, "{date}");
    }
}

#[test]
fn if_unmodified_since_is_for_all_methods() {
    assert_eq!(put(&[("if-unmodified-since", SAME)]), Proceed);
    assert_eq!(put(&[("if-unmodified-since", BEFORE)]), PreconditionFailed);
    assert_eq!(get(&[("if-unmodified-since", BEFORE)]), PreconditionFailed);
    assert_eq!(put(&[("if-unmodified-since", "nonsense")]), Proceed);
    assert_eq!(put_new(&[("if-unmodified-since", BEFORE)]), Proceed);
}

#[test]
fn tags_outrank_dates() {
    assert_eq!(
        get(&[("if-none-match", "\"x\""), ("if-modified-since", AFTER)]),
        Proceed
    );
    assert_eq!(
        get(&[("if-none-match", "\"abc\""), ("if-modified-since", BEFORE)]),
        NotModified
    );
    assert_eq!(
        put(&[("if-match", "\"abc\""), ("if-unmodified-since", BEFORE)]),
        Proceed
    );
    assert_eq!(
        put(&[("if-match", "\"x\""), ("if-unmodified-since", AFTER)]),
        PreconditionFailed
    );
}

#[test]
fn a_failed_if_match_outranks_if_none_match() {
    let both = [("if-match", "\"x\""), ("if-none-match", "\"abc\"")];
    assert_eq!(get(&both), PreconditionFailed);
    assert_eq!(
        get(&[("if-match", "\"abc\""), ("if-none-match", "\"abc\"")]),
        NotModified
    );
}

#[test]
fn options_ignores_preconditions() {
    let headers = headers(&[("if-match", "\"x\"")]);
    assert_eq!(
        evaluate(&Method::OPTIONS, &headers, Some(&CURRENT)),
        Proceed
    );
}

#[test]
fn dates_are_ignored_when_the_modification_is_unknown() {
    let undated = Validators {
        last_modified_secs: None,
        ..CURRENT
    };
    let headers = headers(&[
        ("if-modified-since", AFTER),
        ("if-unmodified-since", BEFORE),
    ]);
    assert_eq!(evaluate(&Method::GET, &headers, Some(&undated)), Proceed);
}

#[test]
fn if_range_wants_the_very_same() {
    let allows = |value: &str| if_range_allows(&headers(&[("if-range", value)]), &CURRENT);
    assert!(if_range_allows(&HeaderMap::new(), &CURRENT));
    assert!(allows("\"abc\""));
    assert!(allows(SAME));
    for refused in [
        "W/\"abc\"",
        "\"x\"",
        "\"abc\", \"x\"",
        BEFORE,
        AFTER,
        "nonsense",
        "",
        "*",
    ] {
        assert!(!allows(refused), "{refused}");
    }
    let undated = Validators {
        last_modified_secs: None,
        ..CURRENT
    };
    assert!(!if_range_allows(
        &headers(&[("if-range", "nonsense")]),
        &undated
    ));
}

proptest! {
    #[test]
    fn any_bytes_are_survived(value in prop::collection::vec(any::<u8>(), 0..80), which in 0usize..5) {
        let names = [IF_MATCH, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE, IF_RANGE];
        if let Ok(value) = HeaderValue::from_bytes(&value) {
            let headers = HeaderMap::from_iter([(names[which].clone(), value)]);
            evaluate(&Method::GET, &headers, Some(&CURRENT));
            if_range_allows(&headers, &CURRENT);
        }
    }

    #[test]
    fn a_tag_is_found_wherever_it_stands(before in "[!#-~]{0,9}", after in "[!#-~]{0,9}", weak: bool) {
        let list = format!("\"{before}\", {}\"abc\" ,\"{after}\"", if weak { "W/" } else { "" });
        prop_assert_eq!(get(&[("if-none-match", &list)]), NotModified);
    }
}
