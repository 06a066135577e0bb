//! `POST /batch/get`: the images and files of a list as one archive, on both ports.

use std::sync::Arc;

use http::{HeaderMap, header};
use hyper::body::Incoming;
use moongate_filer::{FilePath, Filer};
use moongate_haystack::store::now_ns;

use super::export::{Item, Source};
use super::gather::{self, Order};
use super::list::{self, ListError, Wanted, What};
use crate::archive::Format;
use crate::http::Response;
use crate::http::query::Query;
use crate::policy::own;
use crate::state::Gateway;

/// Sends what a list names as `format=tar|zip|multipart` (or what `Accept` says, or a tar), in the order asked or as it is stored.
///
/// # Errors
/// The list or a parameter is none, or too much is in flight.
pub async fn get(
    gateway: &Arc<Gateway>,
    tenant: Option<&str>,
    headers: &HeaderMap,
    query: &Query<'_>,
    body: Incoming,
) -> Result<Response, ListError> {
    let format = format(headers, query)?;
    let order = Order::of(query)?;
    let list = list::read(gateway, tenant, headers, body).await?;
    own::may_all(gateway, &list.wanted, false).await?;
    let source = move |filer: &Filer, send: &mut dyn FnMut(Item) -> bool| {
        let _permits = list.permits;
        for wanted in list.wanted {
            if !send(item(filer, wanted)) {
                break;
            }
        }
        Ok(())
    };
    Ok(gather::send(gateway, format, "files", order, source).await?)
}

fn format(headers: &HeaderMap, query: &Query<'_>) -> Result<Format, ListError> {
    if let Some(word) = query.get_set("format") {
        return Format::by_word(word).ok_or_else(|| {
            ListError::Mistake(format!("format={word:?} is none of tar, zip, multipart"))
        });
    }
    let accept = headers.get(header::ACCEPT).and_then(|v| v.to_str().ok());
    Ok(accept.and_then(Format::by_accept).unwrap_or(Format::Tar))
}

fn item(filer: &Filer, wanted: Wanted) -> Item {
    let path = match wanted.what {
        What::Fid(fid) => {
            return Item {
                name: wanted.name.map(String::from),
                source: Source::Image(fid),
            };
        }
        What::Path(path) => path,
    };
    let by_path = || path.as_str().trim_start_matches('/').to_owned();
    Item {
        name: Some(wanted.name.map_or_else(by_path, String::from)),
        source: found(filer, path),
    }
}

fn found(filer: &Filer, path: FilePath) -> Source {
    let error = match filer.find(&path, now_ns()) {
        Ok(entry) if !entry.is_folder() => return Source::File(Box::new(entry)),
        Ok(_) => format!("{path} is a folder: GET {path}/?archive=tar sends it"),
        Err(error) => error.to_string(),
    };
    Source::Missing {
        path: path.as_str().to_owned(),
        error,
    }
}
