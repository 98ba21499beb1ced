//! SES: an inbox of everything accepted.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::Service;
use crate::reply::{Call, Reply};

/// A mail SES accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentMail {
    /// The recipients: to, cc and bcc.
    pub to: Vec<String>,
    /// The sender.
    pub from: String,
    /// Where answers go.
    pub reply_to: Vec<String>,
    /// The subject.
    pub subject: String,
    /// The text part; empty when there is none.
    pub text: String,
    /// The HTML part; empty when there is none.
    pub html: String,
    /// Additional headers, in order.
    pub headers: Vec<(String, String)>,
    /// The message tags, in order.
    pub tags: Vec<(String, String)>,
    /// The configuration set.
    pub configuration_set: Option<String>,
    /// The id the sender was given, if the answer arrived.
    pub message_id: String,
    /// When it was accepted.
    pub accepted_at: Timestamp,
}

impl SentMail {
    /// Which mail it is: its tags, but for the one that tells this attempt at it from others.
    pub fn identity(&self) -> String {
        let lasting = self.tags.iter().filter(|(name, _)| name != "claimed");
        format!("{:?}", lasting.collect::<Vec<_>>())
    }
}

/// The account with its sent mail.
#[derive(Debug, Clone)]
pub(crate) struct Ses {
    pub(crate) sent: Vec<SentMail>,
    /// Mails per second the account may send.
    pub(crate) max_send_rate: f64,
    /// Mails per 24 hours the account may send.
    pub(crate) max_24_hour_send: f64,
    /// Whether what is above either is refused.
    pub(crate) holds: bool,
    /// Mails refused because of it.
    pub(crate) throttled: usize,
}

impl Default for Ses {
    fn default() -> Self {
        Self {
            sent: Vec::new(),
            max_send_rate: 14.0,
            max_24_hour_send: 50_000.0,
            holds: false,
            throttled: 0,
        }
    }
}

/// The operation a request names.
pub(crate) fn operation(call: &Call) -> String {
    match (call.method.as_str(), call.path.as_str()) {
        ("POST", "/v2/email/outbound-emails") => "SendEmail".to_owned(),
        ("GET", "/v2/email/account") => "GetAccount".to_owned(),
        (method, path) => format!("{method} {path}"),
    }
}

impl Ses {
    /// Does what the request asks; `None` for an operation that is not simulated.
    pub(crate) fn answer(&mut self, operation: &str, call: &Call, now: Timestamp) -> Option<Reply> {
        match operation {
            "SendEmail" => Some(self.send_email(&call.json(), now)),
            "GetAccount" => Some(self.get_account(now)),
            _ => None,
        }
    }

    /// Mails accepted in the time before `now`.
    fn accepted_within(&self, span: SignedDuration, now: Timestamp) -> usize {
        self.sent.iter().rev().take_while(|mail| mail.accepted_at + span > now).count()
    }

    /// What is said to a mail above the account's rate or quota.
    fn throttle(&self, now: Timestamp) -> Option<&'static str> {
        let above = |span, most: f64| {
            let accepted = u32::try_from(self.accepted_within(span, now)).unwrap_or(u32::MAX);
            most >= 0.0 && f64::from(accepted) + 1.0 > most
        };
        if above(SignedDuration::from_secs(1), self.max_send_rate) {
            return Some("Maximum sending rate exceeded.");
        }
        let day = SignedDuration::from_hours(24);
        above(day, self.max_24_hour_send).then_some("Daily message quota exceeded.")
    }

    fn get_account(&self, now: Timestamp) -> Reply {
        Reply::json(&json!({
            "DedicatedIpAutoWarmupEnabled": false,
            "EnforcementStatus": "HEALTHY",
            "ProductionAccessEnabled": true,
            "SendQuota": {
                "Max24HourSend": self.max_24_hour_send,
                "MaxSendRate": self.max_send_rate,
                "SentLast24Hours": self.accepted_within(SignedDuration::from_hours(24), now),
            },
            "SendingEnabled": true,
        }))
    }

    fn send_email(&mut self, request: &Value, now: Timestamp) -> Reply {
        let simple = &request["Content"]["Simple"];
        let destination = &request["Destination"];
        let to = ["ToAddresses", "CcAddresses", "BccAddresses"];
        let to: Vec<String> = to.iter().flat_map(|kind| texts(&destination[kind])).collect();
        let from = text(&request["FromEmailAddress"]);
        if to.is_empty() || from.is_empty() || simple.is_null() {
            let wanted = "a sender, a recipient and simple content are needed";
            return Reply::error(Service::Ses, 400, "BadRequestException", wanted);
        }
        if let Some(told) = self.throttle(now).filter(|_| self.holds) {
            self.throttled += 1;
            return Reply::error(Service::Ses, 429, "TooManyRequestsException", told);
        }
        let message_id = format!("{:016x}-seatkeeper", self.sent.len() + 1);
        self.sent.push(SentMail {
            to,
            from,
            reply_to: texts(&request["ReplyToAddresses"]),
            subject: text(&simple["Subject"]["Data"]),
            text: text(&simple["Body"]["Text"]["Data"]),
            html: text(&simple["Body"]["Html"]["Data"]),
            headers: pairs(&simple["Headers"]),
            tags: pairs(&request["EmailTags"]),
            configuration_set: request["ConfigurationSetName"].as_str().map(str::to_owned),
            message_id: message_id.clone(),
            accepted_at: now,
        });
        Reply::json(&json!({"MessageId": message_id}))
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().map(text).collect()
}

fn pairs(value: &Value) -> Vec<(String, String)> {
    let pairs = value.as_array().into_iter().flatten();
    pairs.map(|pair| (text(&pair["Name"]), text(&pair["Value"]))).collect()
}

#[cfg(test)]
mod tests {
    use crate::{Cloud, Fault, When};
    use aws_sdk_sesv2::operation::send_email::builders::SendEmailFluentBuilder;
    use aws_sdk_sesv2::types::{
        Body, Content, Destination, EmailContent, Message, MessageHeader, MessageTag,
    };

    fn letter(cloud: &Cloud) -> SendEmailFluentBuilder {
        let content = |text: &str| Content::builder().data(text).charset("UTF-8").build().unwrap();
        let body = Body::builder().text(content("plain")).html(content("<p>rich</p>")).build();
        let header = MessageHeader::builder().name("Auto-Submitted").value("auto-generated");
        let message = Message::builder().subject(content("Bienvenue à bord")).body(body);
        let message = message.headers(header.build().unwrap()).build();
        let tag = MessageTag::builder().name("notification").value("ntf_1").build().unwrap();
        cloud
            .ses()
            .send_email()
            .from_email_address("Seatkeeper <no-reply@seatkeeper.example>")
            .destination(Destination::builder().to_addresses("ada@client.example").build())
            .content(EmailContent::builder().simple(message).build())
            .email_tags(tag)
            .configuration_set_name("seatkeeper")
    }

    #[tokio::test]
    async fn a_sent_mail_is_in_the_inbox_with_everything_it_said() {
        let cloud = Cloud::new();
        let id = letter(&cloud).send().await.unwrap().message_id.unwrap();
        let mails = cloud.sent_mails();
        assert_eq!(mails.len(), 1);
        assert_eq!(mails[0].to, ["ada@client.example"]);
        assert_eq!(mails[0].from, "Seatkeeper <no-reply@seatkeeper.example>");
        assert_eq!(mails[0].subject, "Bienvenue à bord");
        assert_eq!((mails[0].text.as_str(), mails[0].html.as_str()), ("plain", "<p>rich</p>"));
        assert_eq!(mails[0].headers, [("Auto-Submitted".into(), "auto-generated".into())]);
        assert_eq!(mails[0].tags, [("notification".into(), "ntf_1".into())]);
        assert_eq!(mails[0].configuration_set.as_deref(), Some("seatkeeper"));
        assert_eq!(mails[0].message_id, id);
    }

    #[tokio::test]
    async fn a_lost_answer_does_not_unsend_the_mail_and_the_client_does_not_repeat_it() {
        let cloud = Cloud::new();
        cloud.inject(When::call("SendEmail", 1), Fault::LoseReply);
        let error = letter(&cloud).send().await.unwrap_err();
        assert!(matches!(error, aws_sdk_sesv2::error::SdkError::DispatchFailure(_)));
        assert_eq!(cloud.sent_mails().len(), 1);
        assert_eq!(cloud.attempts().len(), 1);
    }

    #[tokio::test]
    async fn a_refusal_names_its_reason_and_sends_nothing() {
        let cloud = Cloud::new();
        let refusal = Fault::Refuse { status: 400, code: "MessageRejected" };
        cloud.inject(When::every("SendEmail"), refusal);
        let error = letter(&cloud).send().await.unwrap_err().into_service_error();
        assert!(error.is_message_rejected());
        assert!(cloud.sent_mails().is_empty());
    }

    #[tokio::test]
    async fn a_mail_above_the_rate_or_the_quota_is_refused_where_the_account_holds_to_them() {
        let cloud = Cloud::new();
        cloud.set_send_quota(2.0, 3.0);
        cloud.hold_to_quota();
        letter(&cloud).send().await.unwrap();
        letter(&cloud).send().await.unwrap();
        let refused = letter(&cloud).send().await.unwrap_err().into_service_error();
        assert!(refused.is_too_many_requests_exception());
        cloud.clock().advance(jiff::SignedDuration::from_secs(1));
        letter(&cloud).send().await.unwrap();
        cloud.clock().advance(jiff::SignedDuration::from_secs(1));
        assert!(letter(&cloud).send().await.is_err(), "the day's quota is used up");
        cloud.clock().advance(jiff::SignedDuration::from_hours(24));
        letter(&cloud).send().await.unwrap();
        assert_eq!((cloud.sent_mails().len(), cloud.throttled_mails()), (4, 2));
    }

    #[tokio::test]
    async fn the_account_tells_the_rate_it_was_given() {
        let cloud = Cloud::new();
        cloud.set_send_quota(1.0, 200.0);
        letter(&cloud).send().await.unwrap();
        let quota = cloud.ses().get_account().send().await.unwrap().send_quota.unwrap();
        let told = format!(
            "{} {} {}",
            quota.max_send_rate, quota.max24_hour_send, quota.sent_last24_hours
        );
        assert_eq!(told, "1 200 1");
    }
}
