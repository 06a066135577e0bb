//! How far apart the clocks are of a client that was refused for it. The client's time is in the authenticator, which the library decrypts and
//! does not show; so it is decrypted once more, with the key of the keytab. Only for who is refused, and only to tell.

use std::ffi::{c_char, c_int, c_uint, c_void};
use std::ptr;

use super::ap_req::{ApReq, Sealed, client_time, session_key};
use super::keytab::Entry;

/// RFC 4120 section 7.5.1.
const USAGE_TICKET: c_int = 2;
const USAGE_AUTHENTICATOR: c_int = 11;

/// Seconds by which the client's clock is ahead of ours; negative: behind.
pub(super) fn seconds(token: &[u8], keys: &[Entry], now_secs: i64) -> Option<i64> {
    let request = ApReq::find(token)?;
    let kind = request.ticket.kind;
    let fits = |key: &&Entry| key.principal == request.service && key.kind == kind;
    let part = keys
        .iter()
        .filter(fits)
        .find_map(|key| decrypt(kind, &key.key, USAGE_TICKET, request.ticket))?;
    let (kind, key) = session_key(&part)?;
    let authenticator = decrypt(kind, key, USAGE_AUTHENTICATOR, request.authenticator)?;
    Some(client_time(&authenticator)? - now_secs)
}

/// `krb5_data`
#[repr(C)]
struct Data {
    magic: i32,
    len: c_uint,
    bytes: *mut c_char,
}

/// `krb5_keyblock`
#[repr(C)]
struct KeyBlock {
    magic: i32,
    kind: i32,
    len: c_uint,
    bytes: *mut u8,
}

/// `krb5_enc_data`
#[repr(C)]
struct EncData {
    magic: i32,
    kind: i32,
    version: u32,
    cipher: Data,
}

// `krb5/krb5.h`
#[link(name = "krb5")]
#[link(name = "k5crypto")]
#[allow(unsafe_code)]
unsafe extern "C" {
    fn krb5_init_context(context: *mut *mut c_void) -> i32;
    fn krb5_free_context(context: *mut c_void);
    fn krb5_c_decrypt(
        context: *mut c_void,
        key: *const KeyBlock,
        usage: c_int,
        state: *const Data,
        input: *const EncData,
        output: *mut Data,
    ) -> i32;
}

fn decrypt(kind: i32, key: &[u8], usage: c_int, sealed: Sealed<'_>) -> Option<Vec<u8>> {
    let mut key = key.to_vec();
    let mut cipher = sealed.bytes.to_vec();
    let mut plain = vec![0_u8; cipher.len()];
    let len = |bytes: &[u8]| c_uint::try_from(bytes.len()).ok();
    let key = KeyBlock {
        magic: 0,
        kind,
        len: len(&key)?,
        bytes: key.as_mut_ptr(),
    };
    let input = EncData {
        magic: 0,
        kind: sealed.kind,
        version: 0,
        cipher: Data {
            magic: 0,
            len: len(&cipher)?,
            bytes: cipher.as_mut_ptr().cast(),
        },
    };
    let mut output = Data {
        magic: 0,
        len: len(&plain)?,
        bytes: plain.as_mut_ptr().cast(),
    };
    let status = call(&key, usage, &input, &mut output)?;
    let written = usize::try_from(output.len).ok()?;
    plain.truncate(written);
    (status == 0).then_some(plain)
}

#[allow(unsafe_code)]
fn call(key: &KeyBlock, usage: c_int, input: &EncData, output: &mut Data) -> Option<i32> {
    let mut context = ptr::null_mut();
    // SAFETY: the library writes a pointer to a context of its own, which is freed below, once, and used by this thread only.
    if unsafe { krb5_init_context(&raw mut context) } != 0 {
        return None;
    }
    // SAFETY: the structs are laid out as krb5.h has them; their pointers are to vectors of the caller that live through the call and hold
    // as many bytes as is said; the output holds as many as the input, which is more than is written.
    let status = unsafe { krb5_c_decrypt(context, key, usage, ptr::null(), input, output) };
    // SAFETY: made above, and not used afterwards.
    unsafe { krb5_free_context(context) };
    Some(status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_sealed_with_the_key_is_not_opened() {
        let sealed = Sealed {
            kind: 18,
            bytes: &[7; 64],
        };
        assert_eq!(decrypt(18, &[1; 32], USAGE_TICKET, sealed), None);
        assert_eq!(decrypt(18, &[1; 3], USAGE_TICKET, sealed), None);
        assert_eq!(decrypt(9999, &[], USAGE_TICKET, sealed), None);
        let short = Sealed {
            kind: 18,
            bytes: &[],
        };
        assert_eq!(decrypt(18, &[1; 32], USAGE_TICKET, short), None);
    }
}
