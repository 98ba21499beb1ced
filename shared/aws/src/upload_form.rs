//! Forms to upload a file with: a signed policy (AWS Signature Version 4) that lets a browser put
//! one object under one key, and nothing else.

use std::collections::BTreeMap;

use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials as _;
use aws_sdk_s3::Client as S3;
use aws_sdk_s3::presigning::PresigningConfig;
use aws_sigv4::sign::v4::{calculate_signature, generate_signing_key};
use aws_types::SdkConfig;
use data_encoding::BASE64;
use jiff::{SignedDuration, Timestamp};
use seatkeeper_domain::change::StoreError;
use serde_json::{Value, json};

/// How long a form can be used.
pub const LIFETIME: SignedDuration = SignedDuration::from_mins(10);

/// The one algorithm there is.
const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// A form: where to post it, and its fields. The file comes last, as `file`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadForm {
    /// Where it is posted to, as `multipart/form-data`.
    pub url: String,
    /// The fields before the file, by name.
    pub fields: BTreeMap<String, String>,
}

/// Makes forms for the bucket of uploads.
#[derive(Debug, Clone)]
pub struct UploadForms {
    s3: S3,
    sdk: SdkConfig,
    bucket: String,
}

impl UploadForms {
    /// Forms for this bucket, signed by the function's own credentials.
    pub fn new(sdk: &SdkConfig, s3: S3, bucket: impl Into<String>) -> Self {
        Self { s3, sdk: sdk.clone(), bucket: bucket.into() }
    }

    /// A form that puts a file of this type and of 1 to `max_bytes` bytes under `key`, for
    /// [`LIFETIME`] from `now` on.
    pub async fn form(
        &self,
        key: &str,
        content_type: &str,
        max_bytes: u64,
        now: Timestamp,
    ) -> Result<UploadForm, StoreError> {
        let broken = |what: &str| StoreError::Broken(format!("an upload form: {what}"));
        let provider = self.sdk.credentials_provider().ok_or_else(|| broken("no credentials"))?;
        let region = self.sdk.region().ok_or_else(|| broken("no region"))?;
        let credentials = provider.provide_credentials().await;
        let credentials = credentials.map_err(|e| StoreError::Unavailable(Box::new(e)))?;
        let signer = Signer { credentials: &credentials, region: region.as_ref(), now };
        let mut fields = signer.fields();
        fields.insert("key".to_owned(), key.to_owned());
        fields.insert("Content-Type".to_owned(), content_type.to_owned());
        fields.insert("success_action_status".to_owned(), "201".to_owned());
        let mut conditions: Vec<Value> =
            fields.iter().map(|(name, value)| json!({ name: value })).collect();
        conditions.push(json!({"bucket": self.bucket}));
        conditions.push(json!(["content-length-range", 1, max_bytes]));
        let expires = now + LIFETIME;
        let policy = json!({"expiration": format!("{expires:.3}"), "conditions": conditions});
        let policy = BASE64.encode(policy.to_string().as_bytes());
        fields.insert("x-amz-signature".to_owned(), signer.signature(&policy));
        fields.insert("policy".to_owned(), policy);
        Ok(UploadForm { url: self.url().await?, fields })
    }

    /// The bucket's address, as the SDK itself would reach it: a host of its own on AWS, a path on a
    /// local stack.
    async fn url(&self) -> Result<String, StoreError> {
        let broken = |error: &dyn std::fmt::Display| StoreError::Broken(error.to_string());
        let presigning = PresigningConfig::expires_in(LIFETIME.unsigned_abs());
        let presigning = presigning.map_err(|error| broken(&error))?;
        let call = self.s3.get_object().bucket(&self.bucket).key("k");
        let request = call.presigned(presigning).await.map_err(|error| broken(&error))?;
        let address = request.uri().split('?').next().and_then(|uri| uri.strip_suffix("/k"));
        Ok(address.ok_or_else(|| broken(&"an address without the key"))?.to_owned() + "/")
    }
}

/// Whose signature it is, and when.
struct Signer<'a> {
    credentials: &'a Credentials,
    region: &'a str,
    now: Timestamp,
}

impl Signer<'_> {
    /// The fields that say how it is signed.
    fn fields(&self) -> BTreeMap<String, String> {
        let day = self.now.strftime("%Y%m%d");
        let (id, region) = (self.credentials.access_key_id(), self.region);
        let mut fields = BTreeMap::from([
            ("x-amz-algorithm".to_owned(), ALGORITHM.to_owned()),
            ("x-amz-credential".to_owned(), format!("{id}/{day}/{region}/s3/aws4_request")),
            ("x-amz-date".to_owned(), self.now.strftime("%Y%m%dT%H%M%SZ").to_string()),
        ]);
        if let Some(token) = self.credentials.session_token() {
            fields.insert("x-amz-security-token".to_owned(), token.to_owned());
        }
        fields
    }

    /// The signature of a policy in Base64.
    fn signature(&self, policy: &str) -> String {
        let secret = self.credentials.secret_access_key();
        let key = generate_signing_key(secret, self.now.into(), self.region, "s3");
        calculate_signature(key, policy.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of "Browser-based uploads using POST (AWS Signature Version 4)" in the S3 API
    /// reference: this policy, signed with the example's keys, has this signature.
    #[test]
    fn the_published_example_of_a_signed_policy_is_signed_alike() {
        let policy = [
            r#"{ "expiration": "2015-12-30T12:00:00.000Z","#,
            r#"  "conditions": ["#,
            r#"    {"bucket": "sigv4examplebucket"},"#,
            r#"    ["starts-with", "$key", "user/user1/"],"#,
            r#"    {"acl": "public-read"},"#,
            r#"    {"success_action_redirect": "http://sigv4examplebucket.s3.amazonaws.com/successful_upload.html"},"#,
            r#"    ["starts-with", "$Content-Type", "image/"],"#,
            r#"    {"x-amz-meta-uuid": "14365123651274"},"#,
            r#"    {"x-amz-server-side-encryption": "AES256"},"#,
            r#"    ["starts-with", "$x-amz-meta-tag", ""],"#,
            "",
            r#"    {"x-amz-credential": "AKIAIOSFODNN7EXAMPLE/20151229/us-east-1/s3/aws4_request"},"#,
            r#"    {"x-amz-algorithm": "AWS4-HMAC-SHA256"},"#,
            r#"    {"x-amz-date": "20151229T000000Z" }"#,
            "  ]",
            "}",
        ]
        .join("\r\n");
        let secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
        let credentials = Credentials::new("AKIAIOSFODNN7EXAMPLE", secret, None, None, "example");
        let now = "2015-12-29T00:00:00Z".parse().unwrap();
        let signer = Signer { credentials: &credentials, region: "us-east-1", now };
        assert_eq!(
            signer.fields()["x-amz-credential"],
            "AKIAIOSFODNN7EXAMPLE/20151229/us-east-1/s3/aws4_request"
        );
        assert_eq!(signer.fields()["x-amz-date"], "20151229T000000Z");
        assert_eq!(
            signer.signature(&BASE64.encode(policy.as_bytes())),
            "8afdbf4008c03f22c2cd3cdb72e4afbb1f6a588f3255ac628749a66d7f09699e"
        );
    }
}
