//! What a request of the file port touches: paths, in its URL and in its parameters. Lists in bodies are looked at when they are read
//! ([`listed`]).

use std::time::Instant;

use http::Method;
use http::request::Parts;
use percent_encoding::percent_decode_str;

use super::{Fenced, images};
use crate::http::query::Query;
use crate::metrics::Operation;
use crate::protocol::batch::list::{ListError, Wanted, What};
use crate::protocol::exchange::declared_len;
use crate::protocol::webhdfs::{self, Params};
use crate::state::Gateway;

/// Operations of WebHDFS that name no path.
const NO_PATH: [&str; 8] = [
    "GETHOMEDIRECTORY",
    "GETDELEGATIONTOKEN",
    "GETDELEGATIONTOKENS",
    "RENEWDELEGATIONTOKEN",
    "CANCELDELEGATIONTOKEN",
    "GETSERVERDEFAULTS",
    "GETALLSTORAGEPOLICY",
    "GETECPOLICIES",
];
/// Operations of WebHDFS that look at one folder and not below it.
const OF_ONE: [&str; 9] = [
    "GETFILESTATUS",
    "LISTSTATUS",
    "LISTSTATUS_BATCH",
    "GETACLSTATUS",
    "CHECKACCESS",
    "GETFILELINKSTATUS",
    "OPEN",
    "CREATE",
    "MKDIRS",
];
/// Parameters of plain paths that make a request one for all that is in a folder.
const OF_ALL: [&str; 6] = ["recursive", "archive", "shards", "usage", "batch", "at"];
/// Parameters that name another path.
const OTHERS: [&str; 4] = ["mv.from", "cp.from", "destination", "sources"];

/// Whether a caller of `tenant` may make this request now.
///
/// # Errors
/// [`Fenced`].
pub fn admit(
    gateway: &Gateway,
    tenant: Option<&str>,
    operation: Operation,
    parts: &Parts,
) -> Result<(), Fenced> {
    let tenants = &gateway.tenants;
    if tenants.is_empty() {
        return Ok(());
    }
    tenants.admit(tenant, Instant::now())?;
    let query = Query::parse(parts.uri.query());
    let params = Params(&query);
    let url = parts.uri.path();
    if matches!(operation, Operation::BatchGet | Operation::BatchDelete)
        && parts.method == Method::POST
    {
        return Ok(());
    }
    let is_webhdfs = webhdfs::is_path(url);
    let op = params.given("op").unwrap_or_default().to_ascii_uppercase();
    if is_webhdfs && NO_PATH.contains(&op.as_str()) {
        return Ok(());
    }
    let path = url
        .strip_prefix(webhdfs::PREFIX)
        .filter(|_| is_webhdfs)
        .unwrap_or(url);
    let path = percent_decode_str(path).decode_utf8_lossy();
    let of_one = if is_webhdfs {
        OF_ONE.contains(&op.as_str())
    } else {
        let all = OF_ALL.iter().any(|name| params.given(name).is_some());
        !all && !matches!(
            operation,
            Operation::FileDelete | Operation::FileChange | Operation::BatchPut
        )
    };
    match of_one {
        true => tenants.may_touch(tenant, &path)?,
        false => tenants.may_touch_all(tenant, &path)?,
    }
    others(gateway, tenant, &query)?;
    collection(gateway, tenant, &query)?;
    room(gateway, tenant, &path, operation, parts)
}

/// The other paths that are named, however often.
fn others(gateway: &Gateway, tenant: Option<&str>, query: &Query<'_>) -> Result<(), Fenced> {
    for (name, value) in query.iter() {
        if OTHERS.iter().any(|other| name.eq_ignore_ascii_case(other)) {
            for path in value.split(',').chain([value]) {
                gateway.tenants.may_touch_all(tenant, path)?;
            }
        }
    }
    Ok(())
}

fn collection(gateway: &Gateway, tenant: Option<&str>, query: &Query<'_>) -> Result<(), Fenced> {
    match query.get_set("collection") {
        Some(collection) => Ok(gateway.tenants.may_use(tenant, collection)?),
        None => Ok(()),
    }
}

/// Whether what is to be written has room in the quota of whose folder it is.
fn room(
    gateway: &Gateway,
    tenant: Option<&str>,
    path: &str,
    operation: Operation,
    parts: &Parts,
) -> Result<(), Fenced> {
    let writes = matches!(
        operation,
        Operation::FileWrite | Operation::BatchPut | Operation::HdfsWrite
    );
    let copies = operation == Operation::FileChange;
    if !writes && !copies {
        return Ok(());
    }
    let bytes = declared_len(&parts.headers).unwrap_or(0);
    grows(gateway, tenant, path, bytes, u64::from(bytes > 0))
}

/// Makes room for what a caller of `tenant` adds at a path, if the folder is the tenant's.
///
/// # Errors
/// Its quota is reached.
pub fn grows(
    gateway: &Gateway,
    tenant: Option<&str>,
    path: &str,
    bytes: u64,
    objects: u64,
) -> Result<(), Fenced> {
    let owner = gateway.tenants.owner(path);
    match owner.filter(|owner| Some(owner.settings.name.as_str()) == tenant) {
        Some(owner) => Ok(owner.make_room(bytes, objects)?),
        None => Ok(()),
    }
}

/// Whether a caller of `tenant` may touch all that a list names.
///
/// # Errors
/// [`ListError::Fenced`].
pub fn listed(gateway: &Gateway, tenant: Option<&str>, wanted: &[Wanted]) -> Result<(), ListError> {
    if gateway.tenants.is_empty() {
        return Ok(());
    }
    for wanted in wanted {
        match &wanted.what {
            What::Fid(fid) => images::of_volume(gateway, tenant, fid.volume.0)?,
            What::Path(path) => {
                let touched = gateway.tenants.may_touch_all(tenant, path.as_str());
                touched.map_err(Fenced::from)?;
            }
        }
    }
    Ok(())
}
