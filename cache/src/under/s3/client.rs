//! The SDK's client, with our TLS, our bounds, and nothing that only AWS's own servers understand.

use std::path::Path;
use std::time::Duration;

use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_credential_types::Credentials;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    Builder, Region, RequestChecksumCalculation, ResponseChecksumValidation, SharedHttpClient,
    StalledStreamProtectionConfig,
};
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;

use super::{S3Credentials, S3Options};

/// A server that is there takes a connection at once.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

pub(super) async fn build(options: &S3Options) -> Client {
    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .build_https();
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(options.request_timeout)
        .operation_attempt_timeout(options.request_timeout)
        .build();
    let config = Builder::new()
        .behavior_version_latest()
        .http_client(http.clone())
        .region(Region::new(options.region.clone()))
        .force_path_style(options.path_style)
        .timeout_config(timeouts)
        .retry_config(RetryConfig::standard().with_max_attempts(options.attempts_max))
        // A reader who pauses is no stalled server: silence is measured by `read`.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        // The newer checksums are not understood by every server. What we send is signed with its hash.
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
    let config = match &options.endpoint {
        Some(endpoint) => config.endpoint_url(endpoint),
        None => config,
    };
    Client::from_conf(with_credentials(config, options, http).await.build())
}

async fn with_credentials(config: Builder, options: &S3Options, http: SharedHttpClient) -> Builder {
    let provider = ProviderConfig::without_region()
        .with_region(Some(Region::new(options.region.clone())))
        .with_http_client(http);
    match &options.credentials {
        S3Credentials::Chain => {
            let chain = DefaultCredentialsChain::builder().configure(provider);
            config.credentials_provider(chain.build().await)
        }
        S3Credentials::Environment => {
            config.credentials_provider(EnvironmentVariableCredentialsProvider::new())
        }
        S3Credentials::File { path, profile } => {
            config.credentials_provider(from_file(&provider, path, profile.as_deref()))
        }
        S3Credentials::Static {
            access_key_id,
            secret_access_key,
            session_token,
        } => {
            let token = session_token.clone();
            let keys = Credentials::from_keys(access_key_id, secret_access_key, token);
            config.credentials_provider(keys)
        }
        S3Credentials::Anonymous => config.allow_no_auth(),
    }
}

/// The names that took the place of the deprecated ones are in a crate that nothing else of ours needs.
#[allow(deprecated)]
fn from_file(
    provider: &ProviderConfig,
    path: &Path,
    profile: Option<&str>,
) -> ProfileFileCredentialsProvider {
    use aws_config::profile::profile_file::{ProfileFileKind, ProfileFiles};
    let files = ProfileFiles::builder().with_file(ProfileFileKind::Credentials, path);
    let from_file = ProfileFileCredentialsProvider::builder().configure(provider);
    let from_file = from_file.profile_files(files.build());
    match profile {
        Some(profile) => from_file.profile_name(profile).build(),
        None => from_file.build(),
    }
}
