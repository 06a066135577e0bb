//! Delegation tokens: getDelegationToken, renewDelegationToken, cancelDelegationToken. Their keys, and what was cancelled, are WebHDFS's: a token
//! of one door is good at the other.

use bytes::Bytes;
use moongate_auth::kerberos::{Token, token};
use moongate_auth::{LoginError, Method};

use super::{Answer, Call, decode, done, encode};
use crate::login::kerberos::Kerberos;
use crate::protocol::hdfs::proto::common::{
    CancelDelegationTokenRequestProto, GetDelegationTokenRequestProto,
    GetDelegationTokenResponseProto, RenewDelegationTokenRequestProto,
    RenewDelegationTokenResponseProto, TokenProto,
};
use crate::protocol::hdfs::refused::Refused;
use crate::protocol::webhdfs::error::Refusal;

impl Call<'_> {
    /// None where names are believed, as HDFS without security has it.
    pub(super) fn delegation_token(&self, body: Bytes) -> Answer {
        let identity = &self.ask.identity;
        let kerberos = match (&self.ask.hdfs.gateway.login.kerberos, identity.method) {
            (None, _) | (_, Method::Anonymous | Method::Simple) => return Ok(done()),
            (Some(kerberos), _) => kerberos,
        };
        let asked: GetDelegationTokenRequestProto = decode(body)?;
        self.only_in_person("issued")?;
        let issued = kerberos.issue(identity, Some(&asked.renewer), "");
        let issued = issued.map_err(refused)?;
        Ok(encode(&GetDelegationTokenResponseProto {
            token: Some(TokenProto {
                identifier: issued.identifier.into(),
                password: issued.password.into(),
                kind: token::HDFS.to_owned(),
                service: String::new(),
            }),
        }))
    }

    pub(super) async fn renew_token(&self, body: Bytes) -> Answer {
        let asked: RenewDelegationTokenRequestProto = decode(body)?;
        self.only_in_person("renewed")?;
        let token = ours(asked.token);
        let until_ms = self.tokens()?.renew(&token, &self.caller.user).await;
        Ok(encode(&RenewDelegationTokenResponseProto {
            new_expiry_time: until_ms.map_err(refused)?.cast_unsigned(),
        }))
    }

    pub(super) async fn cancel_token(&self, body: Bytes) -> Answer {
        let asked: CancelDelegationTokenRequestProto = decode(body)?;
        let token = ours(asked.token);
        let cancelled = self.tokens()?.cancel(&token, &self.caller.user).await;
        cancelled.map_err(refused)?;
        Ok(done())
    }

    fn tokens(&self) -> Result<&Kerberos, Refused> {
        let kerberos = self.ask.hdfs.gateway.login.kerberos.as_ref();
        kerberos.ok_or_else(|| {
            Refused::unsupported(
                "delegation tokens belong to Kerberos, which is not in use here".to_owned(),
            )
        })
    }

    /// A token is not enough to get or renew one: a stolen one would never end.
    fn only_in_person(&self, what: &str) -> Result<(), Refused> {
        if self.ask.identity.method != Method::DelegationToken {
            return Ok(());
        }
        let text =
            format!("Delegation Token can be {what} only with kerberos or web authentication");
        Err(Refusal::Io(text).into())
    }
}

fn ours(token: TokenProto) -> Token {
    Token {
        identifier: token.identifier.to_vec(),
        password: token.password.to_vec(),
        kind: token.kind,
        service: token.service,
    }
}

fn refused(error: LoginError) -> Refused {
    Refusal::Token(error).into()
}
