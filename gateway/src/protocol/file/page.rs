//! A folder as a page for people: no script, no style sheet from elsewhere.

use std::fmt::Write as _;
use std::time::{Duration, UNIX_EPOCH};

use moongate_filer::{Entry, FilePath, Name};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What a name keeps in a URL.
const KEPT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');
const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem;color:#222;background:#fff}\
table{border-collapse:collapse;width:100%}td,th{padding:.25rem .5rem;text-align:left;border-bottom:1px solid #e5e5e5}\
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}a{color:#0b57a4;text-decoration:none}a:hover{text-decoration:underline}\
p{color:#666}h1{font-size:1.2rem;font-weight:600;overflow-wrap:anywhere}";

/// The page up to its first row.
pub fn head(path: &FilePath, out: &mut Vec<u8>) {
    let mut page = String::new();
    let title = escape(path.as_str());
    let _ = write!(
        page,
        "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{title}</title><style>{STYLE}</style></head><body><h1>{}</h1>\
         <table><thead><tr><th>Name</th><th class=\"n\">Size</th><th class=\"n\">Modified (UTC)</th></tr></thead><tbody>",
        crumbs(path)
    );
    if let Some(parent) = path.parent() {
        let _ = write!(
            page,
            "<tr><td><a href=\"{}\">../</a></td><td></td><td></td></tr>",
            link(&parent)
        );
    }
    out.extend_from_slice(page.as_bytes());
}

/// The URL of a folder, with a slash at its end: links work however the page was asked for.
pub fn link(path: &FilePath) -> String {
    let mut link = String::from("/");
    for name in path.names() {
        let _ = write!(link, "{}/", utf8_percent_encode(name, KEPT));
    }
    link
}

/// Each folder on the way, as a link.
fn crumbs(path: &FilePath) -> String {
    let (mut crumbs, mut link) = (String::from("<a href=\"/\">/</a>"), String::from("/"));
    for name in path.names() {
        let _ = write!(link, "{}/", utf8_percent_encode(name, KEPT));
        let _ = write!(crumbs, "<a href=\"{link}\">{}/</a>", escape(name));
    }
    crumbs
}

/// One entry of the folder with this link.
pub fn row(folder: &str, name: &Name, entry: &Entry, out: &mut Vec<u8>) {
    let slash = if entry.is_folder() { "/" } else { "" };
    let size = if entry.is_folder() {
        String::new()
    } else {
        human(entry.size())
    };
    let modified = UNIX_EPOCH + Duration::from_secs(entry.attributes.mtime_ns / 1_000_000_000);
    let modified = humantime::format_rfc3339_seconds(modified).to_string();
    let row = format!(
        "<tr><td><a href=\"{folder}{}{slash}\">{}{slash}</a></td><td class=\"n\">{size}</td><td class=\"n\">{}</td></tr>",
        utf8_percent_encode(name.as_str(), KEPT),
        escape(name.as_str()),
        modified.replace('T', " ").trim_end_matches('Z')
    );
    out.extend_from_slice(row.as_bytes());
}

/// The end of the page, with a link to what follows `last` if that is not all.
pub fn foot(count: usize, last: Option<&Name>, out: &mut Vec<u8>) {
    let mut page = String::from("</tbody></table><p>");
    match last {
        Some(last) => {
            let after = utf8_percent_encode(last.as_str(), KEPT);
            let _ = write!(
                page,
                "{count} entries shown. <a href=\"?lastFileName={after}\">More</a>"
            );
        }
        None => {
            let _ = write!(page, "{count} entries");
        }
    }
    page.push_str("</p></body></html>\n");
    out.extend_from_slice(page.as_bytes());
}

fn human(bytes: u64) -> String {
    bytesize::ByteSize::b(bytes).display().iec().to_string()
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use moongate_filer::{Attributes, Content};

    use super::*;

    #[test]
    fn names_cannot_break_out() {
        let name = Name::parse("<b>\"&'.jpg").unwrap();
        let entry = Entry::file(Attributes::default(), Content::empty());
        let mut out = Vec::new();
        row("/", &name, &entry, &mut out);
        let html = String::from_utf8(out).unwrap();
        assert!(html.contains("\"/%3Cb%3E%22%26%27.jpg"), "{html}");
        assert!(html.contains("&lt;b&gt;&quot;&amp;&#39;.jpg"), "{html}");
        assert!(!html.contains("<b>"), "{html}");
    }
}
