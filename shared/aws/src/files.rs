//! Files of imports on S3: uploads to read, books of rows and reports to keep.

use aws_sdk_s3::Client as S3;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::primitives::ByteStream;
use jiff::SignedDuration;
use seatkeeper_domain::change::StoreError;
use seatkeeper_domain::ids::{ClientId, ImportId};
use seatkeeper_domain::import_run::SourceObject;
use seatkeeper_domain::ports::{Files, Upload, UploadRead};

use crate::metadata::plain;

/// The media type of reports.
const WORKBOOK: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";

/// How the name of an object begins that has an import go on.
pub(crate) const WAKE: &str = "go-on-";

/// The buckets of uploads and reports.
#[derive(Debug, Clone)]
pub struct S3Files {
    s3: S3,
    uploads: String,
    reports: String,
}

impl S3Files {
    /// These two buckets, by this client.
    pub fn new(s3: S3, uploads: impl Into<String>, reports: impl Into<String>) -> Self {
        Self { s3, uploads: uploads.into(), reports: reports.into() }
    }
}

impl Files for S3Files {
    async fn upload(
        &self,
        source: &SourceObject,
        max_bytes: u64,
    ) -> Result<UploadRead, StoreError> {
        let call = self
            .s3
            .get_object()
            .bucket(&self.uploads)
            .key(&source.key)
            .set_version_id(source.version_id.clone())
            .set_if_match(source.etag.clone().filter(|_| source.version_id.is_none()));
        let mut object = match call.send().await {
            Ok(object) => object,
            Err(error) => return refused(error),
        };
        // The headers come first: a file too large is left where it is.
        let length = object.content_length().and_then(|length| u64::try_from(length).ok());
        if length.is_none_or(|length| length > max_bytes) {
            return Ok(UploadRead::TooLarge);
        }
        let metadata = object.metadata.take().unwrap_or_default();
        let metadata =
            metadata.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), plain(&value)));
        let metadata = metadata.collect();
        let mut bytes = Vec::new();
        while let Some(part) = object.body.next().await {
            let part = part.map_err(|error| StoreError::Unavailable(Box::new(error)))?;
            bytes.extend_from_slice(&part);
            if bytes.len() as u64 > max_bytes {
                return Ok(UploadRead::TooLarge);
            }
        }
        Ok(UploadRead::Read(Upload { bytes, metadata }))
    }

    async fn keep_book(&self, key: &str, bytes: Vec<u8>) -> Result<(), StoreError> {
        let call = self.s3.put_object().bucket(&self.reports).key(key);
        let call = call.content_type("application/json").body(ByteStream::from(bytes));
        call.send().await.map_err(failed)?;
        Ok(())
    }

    async fn book(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let object = match self.s3.get_object().bucket(&self.reports).key(key).send().await {
            Ok(object) => object,
            Err(error) if error.code() == Some("NoSuchKey") => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let bytes = object.body.collect().await;
        let bytes = bytes.map_err(|error| StoreError::Unavailable(Box::new(error)))?;
        Ok(Some(bytes.to_vec()))
    }

    async fn keep_report(&self, key: &str, bytes: Vec<u8>) -> Result<(), StoreError> {
        let call = self
            .s3
            .put_object()
            .bucket(&self.reports)
            .key(key)
            .content_type(WORKBOOK)
            .content_disposition("attachment; filename=\"report.xlsx\"")
            .body(ByteStream::from(bytes));
        call.send().await.map_err(failed)?;
        Ok(())
    }

    async fn wake_import(
        &self,
        client: &ClientId,
        import: ImportId,
        epoch: u32,
    ) -> Result<(), StoreError> {
        // The bucket tells the import function of every object there.
        let key = wake_key(client, import, epoch);
        let call = self.s3.put_object().bucket(&self.uploads).key(key);
        call.body(ByteStream::from_static(b"")).send().await.map_err(failed)?;
        Ok(())
    }

    async fn report_link(&self, key: &str, lifetime: SignedDuration) -> Result<String, StoreError> {
        let broken = |error: &dyn std::fmt::Display| StoreError::Broken(error.to_string());
        let lifetime = lifetime.unsigned_abs();
        let presigning = PresigningConfig::expires_in(lifetime).map_err(|error| broken(&error))?;
        let call = self.s3.get_object().bucket(&self.reports).key(key);
        let request = call.presigned(presigning).await.map_err(|error| broken(&error))?;
        Ok(request.uri().to_owned())
    }
}

/// The object whose appearance has an import go on.
fn wake_key(client: &ClientId, import: ImportId, epoch: u32) -> String {
    format!("imports/{client}/{import}/{WAKE}{epoch}")
}

/// Sorts what keeps an upload from being read. Without the right to list the bucket, S3 answers
/// 403 for what is not there; that is a fault of the stack, and an error here.
fn refused<E>(error: SdkError<E>) -> Result<UploadRead, StoreError>
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    match error.code() {
        Some("NoSuchKey" | "NoSuchVersion" | "NotFound" | "MethodNotAllowed") => {
            Ok(UploadRead::Gone)
        }
        Some("PreconditionFailed") => Ok(UploadRead::Replaced),
        _ => Err(failed(error)),
    }
}

fn failed<E>(error: SdkError<E>) -> StoreError
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let code = error.code().unwrap_or_default().to_owned();
    let lasting = matches!(
        code.as_str(),
        "AccessDenied" | "NoSuchBucket" | "InvalidAccessKeyId" | "SignatureDoesNotMatch"
    );
    if lasting || matches!(error, SdkError::ConstructionFailure(_)) {
        // The message may name the object, which is a file's name: the code says enough.
        return StoreError::Broken(format!("the file store refuses: {code}"));
    }
    StoreError::Unavailable(Box::new(error))
}
