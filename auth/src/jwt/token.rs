//! A token taken apart (RFC 7515, compact form). Nothing in it is believed here.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::Refused;

/// The longest token that is looked at, in bytes. Kubernetes' have about 1 kB; those with hundreds of groups 10 kB.
pub const TOKEN_BYTES_MAX: usize = 16 << 10;
/// The longest key id, in bytes.
const KID_BYTES_MAX: usize = 512;

/// What a token says of its signature.
#[derive(Clone, Debug, Deserialize)]
pub struct Header {
    /// The algorithm by its name in RFC 7518.
    pub alg: String,
    /// Which of the issuer's keys.
    pub kid: Option<String>,
    /// Extensions that must be understood; none is.
    crit: Option<Value>,
}

/// The parts of a token.
#[derive(Debug)]
pub struct Token<'a> {
    /// What it says of its signature.
    pub header: Header,
    /// What it says.
    pub claims: Map<String, Value>,
    /// The text that is signed.
    pub signed: &'a str,
    /// The signature.
    pub signature: Vec<u8>,
}

impl<'a> Token<'a> {
    /// Takes `text` apart.
    ///
    /// # Errors
    /// [`Refused::Malformed`].
    pub fn parse(text: &'a str) -> Result<Self, Refused> {
        if text.len() > TOKEN_BYTES_MAX {
            return Err(Refused::Malformed("it is longer than 16 kB"));
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(PARTS)?;
        let (header, claims) = signed.split_once('.').ok_or(PARTS)?;
        if claims.contains('.') {
            return Err(PARTS);
        }
        let header: Header = json(header)?;
        if header.crit.is_some() {
            return Err(Refused::Malformed(
                "it asks for an extension that is not known here (crit)",
            ));
        }
        if header
            .kid
            .as_ref()
            .is_some_and(|kid| kid.len() > KID_BYTES_MAX)
        {
            return Err(Refused::Malformed("its kid is too long"));
        }
        Ok(Self {
            header,
            claims: json(claims)?,
            signed,
            signature: decode(signature)?,
        })
    }

    /// A claim that is text.
    pub fn text(&self, claim: &str) -> Option<&str> {
        self.claims.get(claim)?.as_str()
    }
}

const PARTS: Refused = Refused::Malformed("it has not three parts");

fn decode(part: &str) -> Result<Vec<u8>, Refused> {
    URL_SAFE_NO_PAD
        .decode(part)
        .map_err(|_| Refused::Malformed("it is not base64url"))
}

fn json<T: for<'de> Deserialize<'de>>(part: &str) -> Result<T, Refused> {
    serde_json::from_slice(&decode(part)?).map_err(|_| Refused::Malformed("it is not JSON"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn token(header: &str, claims: &str) -> String {
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        format!("{}.{}.{}", part(header), part(claims), part("sig"))
    }

    #[test]
    fn the_parts_come_apart() {
        let text = token(r#"{"alg":"RS256","kid":"k"}"#, r#"{"iss":"i","n":1}"#);
        let token = Token::parse(&text).unwrap();
        assert_eq!(token.header.kid.as_deref(), Some("k"));
        assert_eq!((token.text("iss"), token.text("n")), (Some("i"), None));
        assert_eq!(token.signature, b"sig");
        assert!(text.starts_with(token.signed));
    }

    #[test]
    fn what_is_no_token_is_refused() {
        let good = token(r#"{"alg":"RS256"}"#, "{}");
        for bad in [
            String::new(),
            "..".to_owned(),
            "a.b".to_owned(),
            format!("{good}."),
            format!("{good}.x"),
            format!("{good}="),
            token("{}", "{}"),
            token(r#"{"alg":7}"#, "{}"),
            token(r#"{"alg":"RS256","alg":"none"}"#, "{}"),
            token(r#"{"alg":"RS256","crit":["b64"]}"#, "{}"),
            token(r#"{"alg":"RS256"}"#, "[]"),
            "a".repeat(TOKEN_BYTES_MAX + 1),
        ] {
            let refused = Token::parse(&bad).unwrap_err();
            assert!(matches!(refused, Refused::Malformed(_)), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,80}") {
            let _ = Token::parse(&text);
        }

        #[test]
        fn no_parts_panic(a in "[-_A-Za-z0-9]{0,40}", b in "[-_A-Za-z0-9]{0,40}", c in "[-_A-Za-z0-9]{0,40}") {
            let _ = Token::parse(&format!("{a}.{b}.{c}"));
        }
    }
}
