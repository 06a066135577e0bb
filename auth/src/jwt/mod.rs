//! JSON web tokens of an OIDC issuer: a person's, or a Kubernetes service account's (RFC 7519, RFC 7515, RFC 7517).
//!
//! Owns: which issuers are believed, their keys and when these are asked for again, what a token must say, and who somebody is by it.
//! Refuses to own: HTTP (a [`Fetch`](crate::fetch::Fetch) brings documents) and what the user may do.
//!
//! Life of a token: [`Token::parse`](token::Token::parse) splits it and believes nothing; its `iss` names one of the [`Issuer`]s; the
//! issuer's [`keys`] that fit `kid` and `alg` check the signature; [`claims`] checks audience and times; [`rules`] make a user of it.
//! What was found good is remembered by the token's SHA-256, for as long as the token and the keys hold.

pub mod claims;
mod error;
pub mod fid;
mod issuer;
pub mod jwk;
pub mod rules;
pub mod token;
mod verifier;

pub use error::Refused;
pub use issuer::{Issuer, IssuerConfig, KeysFrom, issuer_url_problem};
pub use verifier::{Verified, Verifier};
