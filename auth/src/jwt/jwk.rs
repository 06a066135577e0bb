//! An issuer's public keys (JSON Web Key Set, RFC 7517; algorithms of RFC 7518 and RFC 8037), and signatures by them.
//!
//! A key decides which algorithms it is for; a token's `alg` only chooses among these. Secret keys (`oct`) are none of an issuer's: a
//! public RSA key can so never be taken for the secret of HS256, and `none` is no algorithm at all.

use base64::Engine as _;
use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD};
use ring::signature::{self, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm};
use serde::Deserialize;

/// The most keys of a set that are looked at.
const KEYS_MAX: usize = 100;
/// Shortest RSA modulus, in bytes: ring takes none of less than 2048 bits.
const MODULUS_BYTES_MIN: usize = 256;

/// An algorithm of signatures (the names of RFC 7518, section 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are RFC 7518's")]
pub enum Algorithm {
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    EdDsa,
}

impl Algorithm {
    /// By its name; `none` and those with a shared secret are not known.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "RS256" => Self::Rs256,
            "RS384" => Self::Rs384,
            "RS512" => Self::Rs512,
            "PS256" => Self::Ps256,
            "PS384" => Self::Ps384,
            "PS512" => Self::Ps512,
            "ES256" => Self::Es256,
            "ES384" => Self::Es384,
            "EdDSA" => Self::EdDsa,
            _ => return None,
        })
    }

    fn rsa(self) -> Option<&'static signature::RsaParameters> {
        Some(match self {
            Self::Rs256 => &signature::RSA_PKCS1_2048_8192_SHA256,
            Self::Rs384 => &signature::RSA_PKCS1_2048_8192_SHA384,
            Self::Rs512 => &signature::RSA_PKCS1_2048_8192_SHA512,
            Self::Ps256 => &signature::RSA_PSS_2048_8192_SHA256,
            Self::Ps384 => &signature::RSA_PSS_2048_8192_SHA384,
            Self::Ps512 => &signature::RSA_PSS_2048_8192_SHA512,
            Self::Es256 | Self::Es384 | Self::EdDsa => return None,
        })
    }

    fn curve(self) -> Option<&'static dyn VerificationAlgorithm> {
        Some(match self {
            Self::Es256 => &signature::ECDSA_P256_SHA256_FIXED,
            Self::Es384 => &signature::ECDSA_P384_SHA384_FIXED,
            Self::EdDsa => &signature::ED25519,
            _ => return None,
        })
    }
}

/// A public key.
#[derive(Clone, Debug)]
pub struct Key {
    /// Its name, by which tokens call it.
    pub kid: Option<String>,
    /// The one algorithm that its issuer wants it used with, if it says so.
    pinned: Option<Algorithm>,
    material: Material,
}

#[derive(Clone, Debug)]
enum Material {
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
    },
    /// The point or bytes, and the only algorithm of that curve.
    Curve(Vec<u8>, Algorithm),
}

/// A key as it is written.
#[derive(Debug, Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    n: Option<String>,
    e: Option<String>,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

#[derive(Debug, Deserialize)]
struct JwkSet {
    keys: Vec<serde_json::Value>,
}

/// The keys of a set that can check signatures. Others are passed over: an issuer may have more than we know.
///
/// # Errors
/// It is no key set, or has no key that can be used.
pub fn parse_set(text: &[u8]) -> Result<Vec<Key>, String> {
    let set: JwkSet =
        serde_json::from_slice(text).map_err(|error| format!("no JSON Web Key Set: {error}"))?;
    let keys: Vec<Key> = set
        .keys
        .into_iter()
        .take(KEYS_MAX)
        .filter_map(key)
        .collect();
    match keys.is_empty() {
        true => Err("the key set has no public key for signatures".to_owned()),
        false => Ok(keys),
    }
}

fn key(value: serde_json::Value) -> Option<Key> {
    let jwk: Jwk = serde_json::from_value(value).ok()?;
    if jwk.usage.as_deref().is_some_and(|usage| usage != "sig") {
        return None;
    }
    let pinned = match &jwk.alg {
        Some(name) => Some(Algorithm::named(name)?),
        None => None,
    };
    let material = material(&jwk)?;
    let key = Key {
        kid: jwk.kid,
        pinned,
        material,
    };
    // A key that is pinned to what it cannot do is of no use.
    pinned.is_none_or(|alg| key.fits(alg)).then_some(key)
}

fn material(jwk: &Jwk) -> Option<Material> {
    match (jwk.kty.as_str(), jwk.crv.as_deref()) {
        ("RSA", _) => {
            let (n, e) = (unsigned(jwk.n.as_deref()?)?, unsigned(jwk.e.as_deref()?)?);
            (n.len() >= MODULUS_BYTES_MIN).then_some(Material::Rsa { n, e })
        }
        ("EC", Some("P-256")) => point(jwk, 32).map(|at| Material::Curve(at, Algorithm::Es256)),
        ("EC", Some("P-384")) => point(jwk, 48).map(|at| Material::Curve(at, Algorithm::Es384)),
        ("OKP", Some("Ed25519")) => {
            let x = base64(jwk.x.as_deref()?)?;
            (x.len() == 32).then_some(Material::Curve(x, Algorithm::EdDsa))
        }
        _ => None,
    }
}

/// An uncompressed point of a curve whose numbers have so many bytes.
fn point(jwk: &Jwk, bytes: usize) -> Option<Vec<u8>> {
    let (x, y) = (base64(jwk.x.as_deref()?)?, base64(jwk.y.as_deref()?)?);
    (x.len() == bytes && y.len() == bytes).then(|| [&[4], x.as_slice(), y.as_slice()].concat())
}

/// A number without leading zeros, as ring wants it; some issuers write them.
fn unsigned(text: &str) -> Option<Vec<u8>> {
    let bytes = base64(text)?;
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes.get(zeros..).map(<[u8]>::to_vec)
}

fn base64(text: &str) -> Option<Vec<u8>> {
    let text = text.trim_end_matches('=');
    let padless = URL_SAFE_NO_PAD.decode(text);
    padless.or_else(|_| URL_SAFE.decode(text)).ok()
}

impl Key {
    /// Whether it is for signatures by `algorithm`.
    pub fn fits(&self, algorithm: Algorithm) -> bool {
        let able = match &self.material {
            Material::Rsa { .. } => algorithm.rsa().is_some(),
            Material::Curve(_, only) => *only == algorithm,
        };
        able && self.pinned.is_none_or(|pinned| pinned == algorithm)
    }

    /// Whether `signature` is this key's over `text`.
    pub fn signed(&self, algorithm: Algorithm, text: &[u8], signature: &[u8]) -> bool {
        if !self.fits(algorithm) {
            return false;
        }
        match &self.material {
            Material::Rsa { n, e } => algorithm.rsa().is_some_and(|parameters| {
                let key = RsaPublicKeyComponents { n, e };
                key.verify(parameters, text, signature).is_ok()
            }),
            Material::Curve(bytes, _) => algorithm.curve().is_some_and(|curve| {
                let key = UnparsedPublicKey::new(curve, bytes);
                key.verify(text, signature).is_ok()
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// RFC 8037, appendix A.4: the public key, the signed text and its signature.
    const ED25519: &str = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","kid":"e"}]}"#;
    const ED25519_TEXT: &str = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
    const ED25519_SIGNATURE: &str =
        "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    /// RFC 7515, appendix A.3.
    const P256: &str = r#"{"keys":[{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}"#;
    const P256_TEXT: &str = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    const P256_SIGNATURE: &str =
        "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";

    fn check(set: &str, algorithm: Algorithm, text: &str, signature: &str) -> bool {
        let key = parse_set(set.as_bytes()).unwrap().remove(0);
        key.signed(algorithm, text.as_bytes(), &base64(signature).unwrap())
    }

    #[test]
    fn the_examples_of_the_rfcs_hold() {
        assert!(check(
            ED25519,
            Algorithm::EdDsa,
            ED25519_TEXT,
            ED25519_SIGNATURE
        ));
        assert!(check(P256, Algorithm::Es256, P256_TEXT, P256_SIGNATURE));
        assert!(!check(P256, Algorithm::Es384, P256_TEXT, P256_SIGNATURE));
        assert!(!check(P256, Algorithm::Es256, "other", P256_SIGNATURE));
        assert!(!check(P256, Algorithm::Rs256, P256_TEXT, P256_SIGNATURE));
    }

    #[test]
    fn a_key_is_for_what_it_is_pinned_to() {
        let n = URL_SAFE_NO_PAD.encode([0xc3; 256]);
        let rsa = |alg: &str| format!(r#"{{"keys":[{{"kty":"RSA","n":"{n}","e":"AQAB"{alg}}}]}}"#);
        let free = parse_set(rsa("").as_bytes()).unwrap().remove(0);
        assert!(free.fits(Algorithm::Rs256) && free.fits(Algorithm::Ps512));
        assert!(!free.fits(Algorithm::Es256));
        let pinned = parse_set(rsa(r#","alg":"PS256""#).as_bytes()).unwrap();
        assert!(pinned[0].fits(Algorithm::Ps256) && !pinned[0].fits(Algorithm::Rs256));
        for useless in [r#","alg":"ES256""#, r#","alg":"HS256""#, r#","use":"enc""#] {
            assert!(parse_set(rsa(useless).as_bytes()).is_err(), "{useless}");
        }
    }

    #[test]
    fn what_is_no_public_key_is_passed_over() {
        for set in [
            "",
            "[]",
            r#"{"keys":[]}"#,
            r#"{"keys":[{"kty":"oct","k":"AAAA","kid":"a"}]}"#,
            r#"{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"}]}"#,
            r#"{"keys":[{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}]}"#,
            r#"{"keys":[7,null]}"#,
        ] {
            assert!(parse_set(set.as_bytes()).is_err(), "{set}");
        }
        assert_eq!(Algorithm::named("none"), None);
        assert_eq!(Algorithm::named("HS256"), None);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse_set(&bytes);
            let key = parse_set(P256.as_bytes()).unwrap().remove(0);
            prop_assert!(!key.signed(Algorithm::Es256, b"text", &bytes));
        }
    }
}
