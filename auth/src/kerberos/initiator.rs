//! SPNEGO, the asking side: a token for a service, by the tickets of this process or by a keytab (MIT's library through GSSAPI: RFC 4178,
//! RFC 4559). The library may ask a KDC, so this blocks: call it on a thread that may.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use libgssapi::context::{ClientCtx, CtxFlags};
use libgssapi::credential::Cred;
use libgssapi::error::{Error, MajorFlags};
use libgssapi::name::Name;
use libgssapi::oid::{GSS_MECH_SPNEGO, GSS_NT_HOSTBASED_SERVICE};

/// Who asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Initiator {
    keytab: Option<(PathBuf, String)>,
}

impl Initiator {
    /// With the tickets that `kinit` got (`KRB5CCNAME`).
    pub const fn of_tickets() -> Self {
        Self { keytab: None }
    }

    /// As this principal, whose key is in the keytab. Tickets are kept in memory, and got anew when they end.
    pub fn of_keytab(keytab: &Path, principal: &str) -> Self {
        Self {
            keytab: Some((keytab.to_owned(), principal.to_owned())),
        }
    }

    /// Whose tickets they are, and for how long they are good: zero if they are over, nothing if there are none. Those of a keytab are told
    /// once something was asked with them; asking for more is left to who needs them.
    pub fn tickets(&self) -> Option<(String, Duration)> {
        let principal = self
            .keytab
            .as_ref()
            .map(|(_, principal)| principal.as_str());
        let over = || Some((principal.unwrap_or("unknown").to_owned(), Duration::ZERO));
        let info = match of_kept(principal)? {
            Ok(credential) => credential.info(),
            Err(error) => Err(error),
        };
        match info {
            Ok(info) => {
                let name = info.name.display_name().ok()?;
                Some((String::from_utf8_lossy(&name).into_owned(), info.lifetime))
            }
            Err(error) if error.major.contains(MajorFlags::GSS_S_CREDENTIALS_EXPIRED) => over(),
            Err(_) => None,
        }
    }

    /// The value of `Authorization` for `HTTP/host`.
    ///
    /// # Errors
    /// Why there is no ticket, in words.
    pub fn authorization(&self, host: &str) -> Result<String, String> {
        let service = format!("HTTP@{}", host.trim_matches(['[', ']']));
        let told = |error: Error| format!("no Kerberos ticket for {service}: {error}");
        let name = Name::new(service.as_bytes(), Some(GSS_NT_HOSTBASED_SERVICE)).map_err(told)?;
        let credential = match &self.keytab {
            Some((keytab, principal)) => Some(from_keytab(keytab, principal)?),
            None => None,
        };
        let mut context = ClientCtx::new(
            credential,
            name,
            CtxFlags::GSS_C_MUTUAL_FLAG,
            Some(GSS_MECH_SPNEGO),
        );
        let token = context.step(None, None).map_err(told)?;
        let token = token.ok_or_else(|| format!("no Kerberos token for {service}"))?;
        Ok(format!("Negotiate {}", STANDARD.encode(&*token)))
    }
}

/// Where the tickets of a principal are kept that were got by its keytab: in memory, for all that asks in its name.
pub fn cache_of(principal: &str) -> String {
    format!("MEMORY:moongate {principal}")
}

/// A credential of a keytab, with the tickets that are kept.
fn from_keytab(keytab: &Path, principal: &str) -> Result<Cred, String> {
    let shown = keytab.display();
    std::fs::File::open(keytab).map_err(|error| format!("{shown}: {error}"))?;
    let text = |bytes: &[u8]| CString::new(bytes).map_err(|_| format!("{shown}: holds a NUL"));
    let path = text(keytab.as_os_str().as_bytes())?;
    let name = text(principal.as_bytes())?;
    let cache = text(cache_of(principal).as_bytes())?;
    native::acquire(&path, Some(&name), Some(&cache))
        .map_err(|error| format!("{principal} cannot log in with {shown}: {error}"))
}

/// The credential of the tickets that are there. None are got.
fn of_kept(principal: Option<&str>) -> Option<Result<Cred, Error>> {
    // By default the library looks for a keytab to get tickets with.
    let none = c"MEMORY:moongate has none";
    let name = principal.map(CString::new).transpose().ok()?;
    let cache = principal.map(|name| CString::new(cache_of(name)));
    let cache = cache.transpose().ok()?;
    Some(native::acquire(none, name.as_deref(), cache.as_deref()))
}

/// `gssapi/gssapi_ext.h` as of MIT krb5 1.11, of which libgssapi has no binding; the library is linked by libgssapi-sys.
#[allow(unsafe_code)]
mod native {
    use std::ffi::{CStr, c_char, c_int, c_void};
    use std::ptr::{null, null_mut};

    use libgssapi::credential::Cred;
    use libgssapi::error::{Error, MajorFlags};

    #[repr(C)]
    struct Buffer {
        length: usize,
        value: *mut c_void,
    }

    #[repr(C)]
    struct Element {
        key: *const c_char,
        value: *const c_char,
    }

    #[repr(C)]
    struct Set {
        count: u32,
        elements: *const Element,
    }

    unsafe extern "C" {
        fn gss_import_name(
            minor: *mut u32,
            text: *const Buffer,
            kind: *const c_void,
            name: *mut *mut c_void,
        ) -> u32;
        fn gss_release_name(minor: *mut u32, name: *mut *mut c_void) -> u32;
        #[allow(clippy::too_many_arguments)]
        fn gss_acquire_cred_from(
            minor: *mut u32,
            name: *mut c_void,
            lifetime_secs: u32,
            mechanisms: *const c_void,
            usage: c_int,
            store: *const Set,
            credential: *mut *mut c_void,
            actual: *mut *mut c_void,
            lifetime: *mut u32,
        ) -> u32;
    }

    const INITIATE: c_int = 1;

    /// To ask services with, from a keytab and into a cache. The library's defaults stand for a principal and a cache that are not given.
    pub fn acquire(
        keytab: &CStr,
        principal: Option<&CStr>,
        cache: Option<&CStr>,
    ) -> Result<Cred, Error> {
        let failed = |major, minor| Error {
            major: MajorFlags::from_bits_retain(major),
            minor,
        };
        let mut minor = 0;
        let mut name = null_mut();
        if let Some(principal) = principal {
            let text = Buffer {
                length: principal.count_bytes(),
                value: principal.as_ptr().cast_mut().cast(),
            };
            // SAFETY: `text` and the string behind it live through the call, which copies them; no kind means a principal in Kerberos's own form.
            let major =
                unsafe { gss_import_name(&raw mut minor, &raw const text, null(), &raw mut name) };
            if major != 0 {
                return Err(failed(major, minor));
            }
        }
        let elements = [
            Element {
                key: c"client_keytab".as_ptr(),
                value: keytab.as_ptr(),
            },
            Element {
                key: c"ccache".as_ptr(),
                value: cache.map_or(null(), CStr::as_ptr),
            },
        ];
        let store = Set {
            count: if cache.is_some() { 2 } else { 1 },
            elements: elements.as_ptr(),
        };
        let mut credential = null_mut();
        // SAFETY: all that is pointed to lives through the call; null pointers are documented to mean defaults, and results not asked for.
        let major = unsafe {
            gss_acquire_cred_from(
                &raw mut minor,
                name,
                u32::MAX,
                null(),
                INITIATE,
                &raw const store,
                &raw mut credential,
                null_mut(),
                null_mut(),
            )
        };
        let mut unused = 0;
        // SAFETY: the name was made above and is used nowhere else; no name is let pass.
        unsafe { gss_release_name(&raw mut unused, &raw mut name) };
        if major != 0 {
            return Err(failed(major, minor));
        }
        // SAFETY: the credential is ours, whole, and wrapped once.
        Ok(unsafe { Cred::from_c(credential.cast()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tickets_that_nobody_has_are_none() {
        let asks = Initiator::of_keytab(Path::new("/nowhere"), "nobody@NOWHERE");
        assert_eq!(asks.tickets(), None);
        let odd = Initiator::of_keytab(Path::new("/nowhere"), "no\0body@NOWHERE");
        assert_eq!(odd.tickets(), None);
    }

    #[test]
    fn a_keytab_that_is_not_there_is_told() {
        let asks = Initiator::of_keytab(Path::new("/nowhere"), "moongate@R");
        let said = asks.authorization("ranger").unwrap_err();
        assert!(
            said.contains("/nowhere") && said.contains("No such file"),
            "{said}"
        );
        let empty = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(empty.path(), [5, 2]).unwrap();
        let said = Initiator::of_keytab(empty.path(), "moongate@R")
            .authorization("ranger")
            .unwrap_err();
        assert!(said.contains("moongate@R cannot log in"), "{said}");
    }
}
