//! The contract on an S3 server of another make, and what is S3's own.

use std::sync::Arc;

use moongate_cache::backend::contract::{Bench, Features};
use moongate_cache::under::{S3Credentials, S3Options, S3Store};
use moongate_tests::beds::s3::S3;

use crate::on_hdfs::wait_for;

const FEATURES: Features = Features {
    append: false,
    truncate: false,
    concat: false,
    attributes: false,
    appears_at_once: true,
    real_folders: false,
};

fn options(s3: &S3) -> S3Options {
    S3Options {
        endpoint: Some(s3.endpoint()),
        path_style: true,
        credentials: S3Credentials::Static {
            access_key_id: S3::ACCESS_KEY.to_owned(),
            secret_access_key: S3::SECRET_KEY.to_owned(),
            session_token: None,
        },
        ..S3Options::new(S3::BUCKET)
    }
}

async fn bench() -> Bench {
    let s3 = wait_for(S3::shared).await;
    let store = S3Store::open(options(s3)).await.unwrap();
    Bench::new(Arc::new(store), FEATURES).await
}

moongate_cache::contract_tests!(bench);
