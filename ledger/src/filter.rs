//! Which rows to list.

use domain::{Digest, MemberId, Outcome, Reason, Timestamp};
use rusqlite::types::Value;

use crate::codes;
use crate::entry::Seq;
use crate::kind::Kind;
use crate::reader::PAGE_ROWS_MAX;
use crate::row::Row;

/// Every condition that is set must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    pub kind: Option<Kind>,
    pub outcome: Option<Outcome>,
    pub reason: Option<Reason>,
    pub segment: Option<String>,
    pub reward: Option<String>,
    pub member: Option<MemberId>,
    pub bundle: Option<Digest>,
    pub models: Option<Digest>,
    /// About an event of this time or later; rows that are about no event count by when they were recorded.
    pub since: Option<Timestamp>,
    /// About an event before this time.
    pub until: Option<Timestamp>,
    /// Recorded at this time or later.
    pub recorded_since: Option<Timestamp>,
    /// Recorded before this time.
    pub recorded_until: Option<Timestamp>,
    /// After this row.
    pub after: Option<Seq>,
    /// Before this row; the last row of a page continues a newest-first listing.
    pub before: Option<Seq>,
    pub newest_first: bool,
    /// Rows to return, at most [`PAGE_ROWS_MAX`].
    pub limit: u32,
}

impl Default for Filter {
    fn default() -> Filter {
        Filter {
            kind: None,
            outcome: None,
            reason: None,
            segment: None,
            reward: None,
            member: None,
            bundle: None,
            models: None,
            since: None,
            until: None,
            recorded_since: None,
            recorded_until: None,
            after: None,
            before: None,
            newest_first: false,
            limit: 100,
        }
    }
}

impl Filter {
    /// Whether columns answer it best. A member's rows are few and have an index; so have rows of the rare kinds.
    pub(crate) fn asks_columns(&self) -> bool {
        let is_rare = self.kind.is_some_and(|kind| !matches!(kind, Kind::Observed | Kind::Decision));
        self.member.is_none() && !is_rare && !crate::columns::Question::of(self).asks_nothing()
    }

    /// Whether a row is what was asked for, as far as the columns answer it: they are a cache, and the row is the log.
    pub(crate) fn is_met_by(&self, row: &Row) -> bool {
        let time = row.event_time.unwrap_or(row.recorded_at);
        self.kind.is_none_or(|kind| row.kind == kind)
            && self.outcome.is_none_or(|outcome| row.outcome == Some(outcome))
            && self.reason.is_none_or(|reason| row.reason == Some(reason))
            && self.segment.as_ref().is_none_or(|segment| row.segment.as_ref() == Some(segment))
            && self.reward.as_ref().is_none_or(|reward| row.reward.as_ref() == Some(reward))
            && self.bundle.is_none_or(|bundle| row.bundle == Some(bundle))
            && self.models.is_none_or(|models| row.models == Some(models))
            && self.since.is_none_or(|since| time >= since)
            && self.until.is_none_or(|until| time < until)
    }

    /// The statement for these columns and its values; `recorded` are the rows the recording times stand for, `of_member`
    /// those that may be the member's.
    pub(crate) fn sql(
        &self,
        columns: &str,
        recorded: (Option<Seq>, Option<Seq>),
        of_member: Option<Vec<Seq>>,
    ) -> (String, Vec<Value>) {
        let number = |number: i64| Value::Integer(number);
        let seq = |seq: Seq| Value::Integer(seq.0.cast_signed());
        let blob = |bytes: &[u8]| Value::Blob(bytes.to_vec());
        let conditions = [
            ("kind =", self.kind.map(|kind| number(i64::from(kind.number())))),
            ("outcome =", self.outcome.map(|outcome| number(codes::outcome(outcome)))),
            ("reason =", self.reason.map(|reason| number(i64::from(reason.number())))),
            ("segment =", self.segment.clone().map(Value::Text)),
            ("reward =", self.reward.clone().map(Value::Text)),
            ("member =", self.member.map(|member| blob(&member.0))),
            ("bundle =", self.bundle.map(|digest| blob(&digest.0))),
            ("models =", self.models.map(|digest| blob(&digest.0))),
            ("ifnull(event_time, recorded_at) >=", self.since.map(|time| number(time.0))),
            ("ifnull(event_time, recorded_at) <", self.until.map(|time| number(time.0))),
            ("seq >=", recorded.0.map(seq)),
            ("seq <", recorded.1.map(seq)),
            ("seq >", self.after.map(seq)),
            ("seq <", self.before.map(seq)),
        ];
        let (mut wheres, mut values) = (vec!["TRUE".to_owned()], Vec::new());
        for (condition, value) in conditions {
            if let Some(value) = value {
                values.push(value);
                wheres.push(format!("{condition} ?{}", values.len()));
            }
        }
        if let Some(seqs) = of_member {
            let list: Vec<u64> = seqs.into_iter().map(|seq| seq.0).collect();
            values.push(Value::Text(serde_json::json!(list).to_string()));
            wheres.push(format!("seq IN (SELECT value FROM json_each(?{}))", values.len()));
        }
        if self.kind.is_some_and(|kind| !matches!(kind, Kind::Observed | Kind::Decision)) {
            // Says to SQLite what the partial index holds, which it cannot see through a parameter.
            wheres.push("kind NOT IN (10, 11)".to_owned());
        }
        let order = if self.newest_first { "DESC" } else { "ASC" };
        let limit = self.limit.min(PAGE_ROWS_MAX);
        let wheres = wheres.join(" AND ");
        (format!("SELECT {columns} FROM record WHERE {wheres} ORDER BY seq {order} LIMIT {limit}"), values)
    }
}
