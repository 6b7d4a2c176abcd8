//! The stable views of ledger.db, for other tools and for exports: which columns they have and what these hold.
//!
//! `schema.sql` makes the views; this is the list that people, exports and tests hold them to. A column is never renamed,
//! retyped or taken away; new ones come last. Never anything personal: views read public columns and bodies only.

use rusqlite::types::ValueRef;

use crate::entry::Seq;
use crate::error::Error;
use crate::kind::Kind;
use crate::reader::{PAGE_ROWS_MAX, Reader};

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    /// A whole number.
    Integer,
    /// Money in micros of the program's currency.
    Micros,
    /// Microseconds since 1970, UTC.
    Time,
    /// 0 or 1.
    Flag,
    Text,
    /// A JSON document as text.
    Json,
}

impl Holds {
    /// The name used in manifests and on the page.
    pub fn name(self) -> &'static str {
        match self {
            Holds::Integer => "integer",
            Holds::Micros => "micros",
            Holds::Time => "time",
            Holds::Flag => "flag",
            Holds::Text => "text",
            Holds::Json => "json",
        }
    }
}

/// One column of a view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    pub name: &'static str,
    pub holds: Holds,
    /// One line for people.
    pub says: &'static str,
}

/// A value of a view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cell {
    Null,
    Integer(i64),
    Text(String),
}

/// A stable view that rows of the log can be exported from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum View {
    Decisions,
    Candidates,
    Certificates,
    Outcomes,
}

impl View {
    pub const ALL: [View; 4] = [View::Decisions, View::Candidates, View::Certificates, View::Outcomes];

    /// What it is called without the `v_`.
    pub fn name(self) -> &'static str {
        match self {
            View::Decisions => "decisions",
            View::Candidates => "candidates",
            View::Certificates => "certificates",
            View::Outcomes => "outcomes",
        }
    }

    /// The kind of row it reads.
    pub fn kind(self) -> Kind {
        match self {
            View::Decisions | View::Candidates => Kind::Decision,
            View::Certificates => Kind::Certificate,
            View::Outcomes => Kind::Outcome,
        }
    }

    /// Its columns, in order.
    pub fn columns(self) -> &'static [Column] {
        match self {
            View::Decisions => DECISIONS,
            View::Candidates => CANDIDATES,
            View::Certificates => CERTIFICATES,
            View::Outcomes => OUTCOMES,
        }
    }

    fn sql(self) -> String {
        let columns: Vec<&str> = self.columns().iter().map(|column| column.name).collect();
        format!(
            "SELECT {} FROM v_{} WHERE seq IN (SELECT value FROM json_each(?1)) ORDER BY seq",
            columns.join(", "),
            self.name()
        )
    }
}

const fn column(name: &'static str, holds: Holds, says: &'static str) -> Column {
    Column { name, holds, says }
}

const SEQ: Column = column("seq", Holds::Integer, "Position in the log, from 1 without gaps.");
const DECISION_ID: Column = column("decision_id", Holds::Text, "The decision's id, 32 hex digits.");
const RECORDED_AT: Column = column("recorded_at", Holds::Time, "When the row was written; never decreases.");
const EVENT_TIME: Column =
    column("event_time", Holds::Time, "When the event happened, as its producer says.");
const MEMBER: Column = column(
    "member",
    Holds::Text,
    "The member's pseudonym, 32 hex digits; leads nowhere once they are erased.",
);
const EVENT_ID: Column =
    column("event_id", Holds::Text, "The producer's id of the event; empty once erased.");
const REASON: Column = column("reason", Holds::Text, "Why, as a code that `largesse explain` knows.");
const SEGMENT: Column = column("segment", Holds::Text, "Id of the member's segment in the policy.");
const EPOCH: Column =
    column("epoch", Holds::Integer, "The run of the node that wrote the row, counted from 1.");

const DECISIONS: &[Column] = &[
    SEQ,
    DECISION_ID,
    RECORDED_AT,
    EVENT_TIME,
    MEMBER,
    EVENT_ID,
    column("outcome", Holds::Text, "granted, none, suppressed, denied, control, pending or fallback."),
    REASON,
    SEGMENT,
    column("reward", Holds::Text, "Id of the promised reward; empty when none was."),
    column(
        "touchpoint",
        Holds::Text,
        "Where the event came from: checkout, service, app, web, email, pos, partner, batch.",
    ),
    column("bundle", Holds::Text, "SHA-256 of the policy that decided, 64 hex digits."),
    column("models", Holds::Text, "SHA-256 over the models that scored, 64 hex digits; empty when none ran."),
    column(
        "semantics",
        Holds::Integer,
        "The meaning decisions were made under; replay under another is refused.",
    ),
    EPOCH,
    column("cost", Holds::Micros, "Face cost of what was promised."),
    column("best_net", Holds::Micros, "What the best candidate would have been worth after prices."),
    column("chosen_net", Holds::Micros, "What the chosen one is worth after prices."),
    column(
        "cause",
        Holds::Text,
        "What kept the best from being chosen: nothing, policy, denied, holdout, capacity, approval, exploration, fallback.",
    ),
    column("price_table", Holds::Integer, "The price table it was decided with; ids rise."),
    column("explored", Holds::Flag, "Whether exploration chose."),
    column("propensity", Holds::Integer, "Probability of the choice in units of 1e-9."),
];

const CANDIDATES: &[Column] = &[
    SEQ,
    DECISION_ID,
    column("reward_index", Holds::Integer, "Place of the reward in the policy's list, from 0."),
    column("reason", Holds::Text, "Why it won or lost."),
    column("rule", Holds::Integer, "The policy rule that said so, from 0; empty when none did."),
];

const CERTIFICATES: &[Column] = &[
    SEQ,
    column("certificate_id", Holds::Text, "The row's id, 32 hex digits."),
    RECORDED_AT,
    EPOCH,
    column("body", Holds::Json, "The certificate with its price table and grant; empty once pruned."),
];

const OUTCOMES: &[Column] = &[
    SEQ,
    column("outcome_id", Holds::Text, "The row's id, 32 hex digits."),
    RECORDED_AT,
    EVENT_TIME,
    MEMBER,
    EVENT_ID,
    SEGMENT,
    column("reward", Holds::Text, "Id of the reward that was promised."),
    REASON,
    column("body", Holds::Json, "What became of the promise; empty once pruned."),
];

impl Reader {
    /// What a view says about these rows, in their order; at most [`PAGE_ROWS_MAX`] rows are asked about.
    ///
    /// # Errors
    /// When the file cannot be read, or a value is not what its column holds.
    pub fn view(&self, view: View, rows: &[Seq]) -> Result<Vec<Vec<Cell>>, Error> {
        let rows = &rows[..rows.len().min(PAGE_ROWS_MAX as usize)];
        let rows: Vec<u64> = rows.iter().map(|seq| seq.0).collect();
        self.all(&view.sql(), [serde_json::json!(rows).to_string()], |row| {
            view.columns().iter().enumerate().map(|(at, column)| cell(row.get_ref(at)?, column)).collect()
        })
    }
}

fn cell(value: ValueRef<'_>, column: &Column) -> Result<Cell, Error> {
    let is_text = matches!(column.holds, Holds::Text | Holds::Json);
    match value {
        ValueRef::Null => Ok(Cell::Null),
        ValueRef::Integer(number) if !is_text => Ok(Cell::Integer(number)),
        ValueRef::Text(bytes) if is_text => match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Cell::Text(text.to_owned())),
            Err(_) => Err(Error::Damaged(format!("{} is no text", column.name))),
        },
        other @ (ValueRef::Integer(_) | ValueRef::Real(_) | ValueRef::Text(_) | ValueRef::Blob(_)) => {
            Err(Error::Damaged(format!("{} holds {}", column.name, other.data_type())))
        }
    }
}
