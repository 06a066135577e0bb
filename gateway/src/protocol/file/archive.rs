//! `GET /folder/?archive=tar|zip|multipart`: a folder with its subtree in one answer.

use std::sync::Arc;

use moongate_filer::{Filer, FilerError};
use moongate_haystack::store::now_ns;

use super::Ask;
use crate::archive::Format;
use crate::files::FileError;
use crate::http::Response;
use crate::protocol::batch::export::{Item, Source};
use crate::protocol::batch::gather::{self, Order};
use crate::state::Gateway;

/// Sends a folder with its subtree.
pub async fn folder(
    gateway: &Arc<Gateway>,
    ask: Ask<'_>,
    format: &str,
) -> Result<Response, FileError> {
    let format = Format::by_word(format).ok_or_else(|| {
        FileError::BadRequest(format!("archive={format:?} is none of tar, zip, multipart"))
    })?;
    let order = Order::of(ask.query)?;
    let folder = ask.target.path.clone();
    let name = folder
        .name()
        .map_or_else(|| "files".to_owned(), |name| name.to_string());
    let source =
        move |filer: &Filer, send: &mut dyn FnMut(Item) -> bool| -> Result<(), FilerError> {
            for item in filer.walk(&folder, now_ns())? {
                let (name, entry) = item?;
                if entry.is_folder() {
                    continue;
                }
                let item = Item {
                    name: Some(name),
                    source: Source::File(Box::new(entry)),
                };
                if !send(item) {
                    break;
                }
            }
            Ok(())
        };
    Ok(gather::send(gateway, format, &name, order, source).await?)
}
