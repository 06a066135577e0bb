//! SPNEGO, the accepting side: a token of a client against a keytab, by the system's own Kerberos library (MIT's, through GSSAPI: RFC 4178,
//! RFC 4121). The library keeps its replay cache on disk, so this blocks: call it on a thread that may.

use std::ffi::CString;
use std::fs::Metadata;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use libgssapi::context::{SecurityContext as _, ServerCtx};
use libgssapi::credential::{Cred, CredUsage};
use libgssapi::error::{Error, MajorFlags};
use libgssapi::oid::{GSS_MECH_KRB5, GSS_MECH_SPNEGO, OidSet};
use parking_lot::Mutex;

use super::keytab::{self, Entry};
use super::skew;
use crate::{Failure, LoginError};

/// A longer token is not looked at: tickets with many groups stay below 64 KiB.
pub const TOKEN_BYTES_MAX: usize = 64 << 10;
/// Only keys of this service are ours, whatever else is in the keytab.
const SERVICE: &str = "HTTP/";

/// Somebody whose ticket is good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The full principal.
    pub principal: String,
    /// What the client is answered, by which it knows us.
    pub reply: Vec<u8>,
}

/// Accepts tokens with the keys of a keytab, whichever `HTTP/*` of them the client asked for.
#[derive(Debug)]
pub struct Acceptor {
    keytab: PathBuf,
    credential: Mutex<Option<(Stamp, Cred)>>,
    /// The context of the last login, of no more use but that it holds what the library has read of `krb5.conf`: while nobody
    /// does, every login reads that file twice.
    last: Mutex<Option<ServerCtx>>,
}

/// What changes when a file is replaced: inode, time and length.
type Stamp = (u64, i64, i64, u64);

impl Acceptor {
    /// With this keytab, which is read again whenever it changes. One keytab a process: the library has one setting for it.
    ///
    /// # Errors
    /// The file cannot be read, is no keytab, or holds no key for HTTP.
    pub fn open(keytab: &Path) -> Result<Self, LoginError> {
        let acceptor = Self {
            keytab: keytab.to_owned(),
            credential: Mutex::new(None),
            last: Mutex::new(None),
        };
        let ours = acceptor.keys()?;
        if ours.is_empty() {
            return Err(acceptor.unusable("it holds no key of HTTP/<host>"));
        }
        register(keytab)?;
        acceptor.credential()?;
        Ok(acceptor)
    }

    /// The `HTTP/*` principals of the keytab.
    ///
    /// # Errors
    /// The file cannot be read, or is no keytab.
    pub fn keys(&self) -> Result<Vec<String>, LoginError> {
        self.keys_of(&[SERVICE])
    }

    /// The principals of these services (`nn/`) in the keytab.
    ///
    /// # Errors
    /// As of [`Self::keys`].
    pub fn keys_of(&self, services: &[&str]) -> Result<Vec<String>, LoginError> {
        let entries = self.entries()?;
        let mut ours: Vec<String> = entries.into_iter().map(|entry| entry.principal).collect();
        ours.retain(|principal| {
            services
                .iter()
                .any(|service| principal.starts_with(service))
        });
        ours.dedup();
        Ok(ours)
    }

    fn entries(&self) -> Result<Vec<Entry>, LoginError> {
        let file = std::fs::read(&self.keytab).map_err(|error| self.unusable(&error))?;
        keytab::entries(&file).ok_or_else(|| self.unusable("it is no keytab"))
    }

    /// How far apart the clocks are, in words.
    fn skew(&self, token: &[u8]) -> Option<String> {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let now_secs = i64::try_from(since.ok()?.as_secs()).ok()?;
        let ahead = skew::seconds(token, &self.entries().ok()?, now_secs)?;
        let side = if ahead < 0 { "behind" } else { "ahead of" };
        Some(format!(
            ": the client's clock is {} s {side} the gateway's",
            ahead.abs()
        ))
    }

    /// Who sent this token.
    ///
    /// # Errors
    /// Why it is not good.
    pub fn accept(&self, token: &[u8]) -> Result<Accepted, LoginError> {
        if token.starts_with(b"NTLMSSP") {
            return Err(malformed(
                "it is of NTLM: the client has no Kerberos ticket (kinit), or does not know the realm of this host",
            ));
        }
        let mut context = self.context()?;
        let (principal, reply) = self.proved(&mut context, token, SERVICE)?;
        let before = self.last.lock().replace(context);
        // Outside the lock.
        drop(before);
        Ok(Accepted { principal, reply })
    }

    /// What takes one client's token.
    pub(crate) fn context(&self) -> Result<ServerCtx, LoginError> {
        Ok(ServerCtx::new(Some(self.credential()?)))
    }

    /// The principal that sent a token for a service (`HTTP/`), and what it is answered.
    pub(crate) fn proved(
        &self,
        context: &mut ServerCtx,
        token: &[u8],
        service: &str,
    ) -> Result<(String, Vec<u8>), LoginError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(malformed("it is too long"));
        }
        let reply = context
            .step(token, None)
            .map_err(|error| self.explain(error, token))?;
        if !context.is_complete() {
            return Err(malformed("more than one round is asked for"));
        }
        // All at once: each question of its own copies what the ticket says of the client.
        let info = context
            .info()
            .map_err(|error| malformed(&error.to_string()))?;
        let target = text(&info.target_name)?;
        if !target.starts_with(service) {
            let text = format!("the ticket is for {target}, and not for {service}<host>");
            return Err(LoginError::new(Failure::NotForUs, text));
        }
        let principal = text(&info.source_name)?;
        Ok((
            principal,
            reply.map(|reply| reply.to_vec()).unwrap_or_default(),
        ))
    }

    /// The keytab's keys as they are now.
    fn credential(&self) -> Result<Cred, LoginError> {
        let data = std::fs::metadata(&self.keytab).map_err(|error| self.unusable(&error))?;
        let mut kept = self.credential.lock();
        if let Some((stamp, credential)) = &*kept
            && *stamp == self::stamp(&data)
        {
            return Ok(credential.clone());
        }
        let unusable = |error: Error| self.unusable(error);
        let mut mechanisms = OidSet::new();
        for mechanism in [GSS_MECH_SPNEGO, GSS_MECH_KRB5] {
            mechanisms.add(mechanism).map_err(unusable)?;
        }
        let credential = Cred::acquire(None, None, CredUsage::Accept, Some(&mechanisms));
        let credential = credential.map_err(unusable)?;
        *kept = Some((self::stamp(&data), credential.clone()));
        Ok(credential)
    }

    fn unusable(&self, why: impl std::fmt::Display) -> LoginError {
        let keytab = self.keytab.display();
        let text = format!("auth.kerberos.keytab = {keytab} cannot be used: {why}");
        LoginError::new(Failure::Unavailable, text)
    }

    /// The library's codes come without names; its texts are told apart. They hold names and numbers of keys, and no secret.
    fn explain(&self, error: Error, token: &[u8]) -> LoginError {
        let said = error.to_string();
        let (failure, advice) = kind_of(&said, error.major);
        let ours = match failure {
            Failure::NotForUs => {
                let keys = self.keys().unwrap_or_default().join(", ");
                format!("; the keytab here holds {keys}")
            }
            Failure::Skew => self.skew(token).unwrap_or_default(),
            _ => String::new(),
        };
        // "What every mechanism says (what Kerberos says)"
        let detail = said.split_once(" (").map_or(&*said, |(_, detail)| detail);
        let detail = detail.strip_suffix(')').unwrap_or(detail);
        let text = format!("the Kerberos ticket is refused: {detail}{ours}; {advice}");
        LoginError::new(failure, text)
    }
}

/// What MIT's messages mean (`krb5/krb/rd_req_dec.c`, `gssapi/krb5/accept_sec_context.c`, `krb5/error_tables/krb5_err.et`).
fn kind_of(said: &str, major: MajorFlags) -> (Failure, &'static str) {
    const TEXTS: [(&str, Failure, &str); 9] = [
        (
            "is a replay",
            Failure::Replayed,
            "it was sent before: each request needs a new one, or the cookie of the first answer",
        ),
        (
            "Clock skew",
            Failure::Skew,
            "set the clocks of both machines (NTP)",
        ),
        ("Ticket expired", Failure::Expired, "get a new one (kinit)"),
        (
            "not yet valid",
            Failure::Skew,
            "set the clocks of both machines (NTP)",
        ),
        (
            "not found in keytab",
            Failure::NotForUs,
            "ask this gateway by a name that it has a key for, or get a new ticket if its key was changed",
        ),
        (
            "No key table entry",
            Failure::NotForUs,
            "ask this gateway by a name that it has a key for",
        ),
        (
            "Cannot find key",
            Failure::NotForUs,
            "the key was changed: get a new ticket (kinit), or put the new key into the keytab",
        ),
        (
            "cannot decrypt ticket",
            Failure::NotForUs,
            "the keytab holds another key than the KDC: make it anew (ktadd)",
        ),
        (
            "Wrong principal",
            Failure::NotForUs,
            "ask this gateway by a name that it has a key for",
        ),
    ];
    let found = TEXTS.iter().find(|(text, ..)| said.contains(text));
    match found {
        Some((_, failure, advice)) => (*failure, advice),
        None if major.contains(MajorFlags::GSS_S_DEFECTIVE_TOKEN) => {
            (Failure::Malformed, "this is no token of SPNEGO or Kerberos")
        }
        None => (Failure::Forged, "get a new one (kinit)"),
    }
}

fn malformed(why: &str) -> LoginError {
    let text = format!("the token after Negotiate is refused: {why}");
    LoginError::new(Failure::Malformed, text)
}

fn text(name: &libgssapi::name::Name) -> Result<String, LoginError> {
    let shown = name
        .display_name()
        .map_err(|error| malformed(&error.to_string()))?;
    String::from_utf8(shown.to_vec()).map_err(|_| malformed("a name in it is not UTF-8"))
}

fn stamp(data: &Metadata) -> Stamp {
    (data.ino(), data.mtime(), data.mtime_nsec(), data.len())
}

#[allow(unsafe_code)]
mod native {
    use std::ffi::c_char;

    // `gssapi/gssapi_krb5.h`; the library is linked by libgssapi-sys.
    unsafe extern "C" {
        pub fn krb5_gss_register_acceptor_identity(keytab: *const c_char) -> u32;
    }
}

/// Tells the library which keytab its accepting side is to use.
#[allow(unsafe_code)]
fn register(keytab: &Path) -> Result<(), LoginError> {
    let unusable =
        |why: &str| LoginError::new(Failure::Unavailable, format!("{}: {why}", keytab.display()));
    let path = CString::new(keytab.as_os_str().as_bytes()).map_err(|_| unusable("holds a NUL"))?;
    // SAFETY: the pointer is to a string that ends in NUL and lives through the call; the library copies it under a lock of its own.
    let status = unsafe { native::krb5_gss_register_acceptor_identity(path.as_ptr()) };
    if status == 0 {
        return Ok(());
    }
    Err(unusable(
        "the Kerberos library does not take it as a keytab",
    ))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_texts_of_the_library() {
        let none = MajorFlags::empty();
        for (said, failure) in [
            (
                "Unspecified GSS failure (Request is a replay)",
                Failure::Replayed,
            ),
            ("x (Clock skew too great)", Failure::Skew),
            ("x (Ticket expired)", Failure::Expired),
            (
                "x (Request ticket server HTTP/b@R not found in keytab (ticket kvno 2))",
                Failure::NotForUs,
            ),
            ("x (anything else)", Failure::Forged),
        ] {
            assert_eq!(kind_of(said, none).0, failure, "{said}");
        }
        let defective = kind_of("x", MajorFlags::GSS_S_DEFECTIVE_TOKEN);
        assert_eq!(defective.0, Failure::Malformed);
    }

    #[test]
    fn a_keytab_must_be_one() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let open = || Acceptor::open(file.path()).unwrap_err().text;
        assert!(open().contains("it is no keytab"));
        std::fs::write(file.path(), [5, 2]).unwrap();
        assert!(open().contains("no key of HTTP/"));
        assert!(
            Acceptor::open(Path::new("/nowhere"))
                .unwrap_err()
                .text
                .contains("No such file")
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let acceptor = Acceptor { keytab: "/nowhere".into(), credential: Mutex::new(None), last: Mutex::new(None) };
            prop_assert!(acceptor.accept(&bytes).is_err());
            let mut context = ServerCtx::new(None);
            prop_assert!(context.step(&[&[0x60], &bytes[..]].concat(), None).is_err());
        }
    }
}
