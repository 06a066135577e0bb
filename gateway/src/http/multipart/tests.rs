use proptest::prelude::*;

use super::*;

const FORM: Option<&str> = Some("multipart/form-data; boundary=XX");

fn parse_text(body: &[u8]) -> Result<Vec<Part>, MultipartError> {
    parse(FORM, Bytes::copy_from_slice(body), 100)
}

fn error(content_type: Option<&str>, body: &[u8]) -> String {
    parse(content_type, Bytes::copy_from_slice(body), 2)
        .unwrap_err()
        .to_string()
}

#[test]
fn a_file_with_all_its_headers() {
    let parts = parse_text(
        b"--XX\r\nContent-Disposition: form-data; name=\"file\"; filename=\"C:\\pics\\t.png\"\r\n\
          Content-Type: image/png\r\nContent-MD5: abc==\r\nContent-Encoding: gzip\r\n\r\n\
          \x89PNG\r\n--X\r\n\r\n--XX--\r\n",
    )
    .unwrap();
    let wanted = Part {
        name: Some("file".into()),
        file_name: Some("t.png".into()),
        content_type: Some("image/png".into()),
        content_md5: Some("abc==".into()),
        gzip: true,
        data: Bytes::from_static(b"\x89PNG\r\n--X\r\n"),
    };
    assert_eq!(parts, [wanted]);
}

#[test]
fn fields_and_files_in_order() {
    let parts = parse_text(
        b"preamble\r\n--XX\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n\
          --XX  \r\ncontent-disposition: form-data; name=b; filename*=utf-8''%E5%9B%BE.png\r\n\r\n\r\n--XX--",
    )
    .unwrap();
    assert_eq!(parts.len(), 2);
    assert_eq!(
        (parts[0].name.as_deref(), parts[0].file_name.as_deref()),
        (Some("a"), None)
    );
    assert_eq!(parts[0].data, "1");
    assert_eq!(parts[1].file_name.as_deref(), Some("图.png"));
    assert!(parts[1].data.is_empty() && !parts[1].gzip);
}

#[test]
fn raw_names_that_are_not_ascii() {
    let body =
        "--XX\r\nContent-Disposition: form-data; filename=\"目录/图.png\"\r\n\r\nx\r\n--XX--";
    assert_eq!(
        parse_text(body.as_bytes()).unwrap()[0].file_name.as_deref(),
        Some("图.png")
    );
}

#[test]
fn parts_share_one_buffer() {
    let parts =
        parse_text(b"--XX\r\nA: b\r\n\r\nfirst\r\n--XX\r\nA: b\r\n\r\nsecond\r\n--XX--").unwrap();
    let between = parts[1].data.as_ptr() as usize - parts[0].data.as_ptr() as usize;
    assert_eq!(between, "first\r\n--XX\r\nA: b\r\n\r\n".len());
}

#[test]
fn no_parts_at_all() {
    assert_eq!(parse_text(b"--XX--\r\n").unwrap(), []);
}

#[test]
fn quoted_boundaries() {
    let quoted = Some("Multipart/Form-Data; charset=utf-8; Boundary=\"a b\"");
    let parts = parse(
        quoted,
        Bytes::from_static(b"--a b\r\nA: b\r\n\r\nx\r\n--a b--"),
        1,
    )
    .unwrap();
    assert_eq!(parts[0].data, "x");
}

#[test]
fn errors_say_what_is_wrong() {
    let not_multipart = "request Content-Type isn't multipart/form-data";
    assert_eq!(error(None, b""), not_multipart);
    assert_eq!(error(Some("image/png"), b""), not_multipart);
    for no_boundary in ["multipart/form-data", "multipart/form-data; boundary=\"\""] {
        assert!(error(Some(no_boundary), b"").contains("no usable multipart boundary"));
    }
    let long = format!("multipart/form-data; boundary={}", "x".repeat(71));
    assert!(error(Some(&long), b"").contains("no usable multipart boundary"));
    assert!(error(FORM, b"").contains("does not contain its boundary \"XX\""));
    assert!(error(FORM, b"--YY\r\n").contains("does not contain its boundary \"XX\""));
    assert!(error(FORM, b"--XX\r\nA: b\r\n\r\nhalf a f").contains("truncated: part 1"));
    assert!(error(FORM, b"--XX\r\nA: b\r\n\r\n1\r\n--XX\r\nA: ").contains("truncated: part 2"));
    assert!(
        error(FORM, b"--XX\r\nbad header\r\n\r\nx\r\n--XX--")
            .contains("part 1 of the multipart body is malformed")
    );
    let three = b"--XX\r\nA: b\r\n\r\n\r\n--XX\r\nA: b\r\n\r\n\r\n--XX\r\nA: b\r\n\r\n\r\n--XX--";
    assert!(error(FORM, three).contains("more than 2 parts"));
}

#[test]
fn every_truncation_is_noticed() {
    let whole = b"--XX\r\nA: b\r\n\r\nfirst\r\n--XX\r\nA: b\r\n\r\nsecond\r\n--XX--";
    for len in 0..whole.len() {
        assert!(parse_text(&whole[..len]).is_err(), "{len}");
    }
    assert_eq!(parse_text(whole).unwrap().len(), 2);
}

proptest! {
    #[test]
    fn any_bytes_are_survived(body in prop::collection::vec(any::<u8>(), 0..300), content_type in ".{0,60}") {
        let _ = parse_text(&body);
        let _ = parse_text(&[b"--XX\r\n", &body[..], b"\r\n--XX--"].concat());
        let _ = parse(Some(&content_type), Bytes::from(body), 10);
    }

    #[test]
    fn near_misses_are_survived(body in "(--XX|\r\n|--|A: b|\r|\n|x| ){0,30}") {
        let _ = parse_text(body.as_bytes());
    }

    #[test]
    fn what_is_sent_arrives(files in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..100), 0..5)) {
        let mut body = Vec::new();
        for data in &files {
            body.extend_from_slice(b"--XX\r\nContent-Disposition: form-data; filename=f\r\n\r\n");
            body.extend_from_slice(data);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(b"--XX--\r\n");
        prop_assume!(body.windows(4).filter(|w| w == b"--XX").count() == files.len() + 1);
        let parts = parse_text(&body).unwrap();
        let read: Vec<&[u8]> = parts.iter().map(|part| &part.data[..]).collect();
        prop_assert_eq!(read, files.iter().map(|data| &data[..]).collect::<Vec<_>>());
    }
}
