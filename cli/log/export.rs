//! `largesse log export`: rows for other tools, with a manifest that says what they are.
//!
//! Files get their names, and the manifest last, once everything is on the disk and the export is recorded: a folder with a
//! manifest is whole. Only the stable views leave the ledger; sealed parts are not even read. Start at [`run`].

pub mod manifest;
mod sheet;
mod table;
mod unfinished;

use std::path::PathBuf;

use domain::Digest;
use ledger::note::Head;
use ledger::{Cell, Entry, Filter, Kind, Reader, Seq, View, Writer};
use serde_json::json;
use uuid::Uuid;

use self::manifest::{Manifest, Range, Sheet as Listed, Tree};
use self::sheet::Sheet;
use self::unfinished::{Unfinished, disk};
use super::asked::Asked;
use super::given;
use crate::exit::{Failure, Result, Verdict};
use crate::folder::refuse_used;
use crate::member::{alone, stated};
use crate::output::{self, Document, grouped};

/// Rows read at a time: a page of the widest view is a few megabytes.
const PAGE_ROWS: u32 = 2_000;

/// Write rows for other tools
#[derive(clap::Args)]
#[command(after_help = "\
One file per view, decisions, candidates, certificates and outcomes, with the columns of docs/views.md,
and manifest.json with the filter, the range, the signed head the rows are under, and the SHA-256 of each
file. Members appear under their pseudonyms, and the column event_id is empty unless --event-ids is given:
a service may have put an identifier in one. The export is recorded, with its
purpose and the digest of its manifest, before the files get their names; without a manifest a folder is
no whole export. No node may be running. Check it with `largesse log check-export`.
Exit codes: 2 the folder is not empty, 4 a node is running.")]
pub struct Args {
    /// Folder of the ledger
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Form of the files
    #[arg(long, value_enum)]
    format: Form,
    /// An empty or new folder
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
    /// Why, for the record
    #[arg(long, value_name = "TEXT")]
    purpose: String,
    /// Take the events' ids along: they are the publishing services' own, and an erasure cannot take them out of files
    #[arg(long)]
    event_ids: bool,
    #[command(flatten)]
    asked: Asked,
    /// What stdout gets: table (a line for people) or JSON
    #[arg(long, value_enum, default_value = "table")]
    output: Document,
}

/// Form of the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// One JSON object per line
    Jsonl,
    /// Comma-separated values with a header
    Csv,
    /// Apache Parquet, compressed with Snappy
    Parquet,
}

impl Form {
    /// The end of a file's name.
    fn ending(self) -> &'static str {
        match self {
            Form::Jsonl => "jsonl",
            Form::Csv => "csv",
            Form::Parquet => "parquet",
        }
    }
}

pub fn run(args: &Args) -> Result {
    let purpose = stated("--purpose", &args.purpose)?;
    refuse_used(&args.out)?;
    let mut writer = alone(&args.dir)?;
    let reader = Reader::open(&args.dir).map_err(crate::ledger_errors)?;
    let keys = given::keys(&reader, &args.dir, None)?;
    let (head, note) = given::newest(&reader, &keys)?;
    let mut unfinished = Unfinished::begin(&args.out)?;
    let (range, sheets) = write(&reader, args, &head, &mut unfinished)?;
    let manifest = Manifest {
        schema: manifest::SCHEMA,
        ledger: keys.identity(),
        form: args.format,
        filter: args.asked.to_json(),
        rows: range,
        tree: Tree { size: head.size, root: head.root },
        head: note,
        rotations: keys.rotations().iter().map(|rotation| rotation.note.clone()).collect(),
        files: sheets,
    };
    let text = serde_json::to_vec_pretty(&manifest).map_err(Failure::runtime)?;
    let digest = Digest::of(&text);
    let row = record(&mut writer, &manifest, (purpose, args.event_ids), digest)?;
    let (head, note) = given::newest(&reader, &keys)?;
    let proof = reader.prove(Seq(row), &head, &note).map_err(crate::ledger_errors)?;
    unfinished.publish(&text, &proof.to_text())?;
    say(args, &manifest, row, digest)?;
    Ok(Verdict::Ok)
}

/// Writes every view under temporary names. Returns the first and last row that was written, and what the files hold.
fn write(
    reader: &Reader,
    args: &Args,
    head: &Head,
    unfinished: &mut Unfinished,
) -> Result<(Option<Range>, Vec<Listed>)> {
    let (mut range, mut listed): (Option<Range>, _) = (None, Vec::new());
    reader.cuts_are_recorded().map_err(crate::ledger_errors)?;
    let bar = output::progress("exporting");
    bar.set_length(head.size);
    for views in [&[View::Decisions, View::Candidates][..], &[View::Certificates], &[View::Outcomes]] {
        let mut sheets = Vec::new();
        for view in views {
            let name = format!("{}.{}", view.name(), args.format.ending());
            let (file, path) = unfinished.file(&name)?;
            sheets.push((*view, Sheet::begin(args.format, *view, file).map_err(disk(&path))?, name, path));
        }
        let asked = args.asked.filter();
        for page in Pages::of(reader, &asked, views[0].kind(), head) {
            let page = page?;
            if let (Some(first), Some(last)) = (page.first(), page.last()) {
                let range = range.get_or_insert(Range { first: first.0, last: last.0 });
                *range = Range { first: range.first.min(first.0), last: range.last.max(last.0) };
                bar.set_position(last.0);
            }
            reader.vouch_as(&asked, page.iter().copied()).map_err(crate::ledger_errors)?;
            for (view, sheet, _, path) in &mut sheets {
                let mut rows: Vec<Vec<Cell>> = reader.view(*view, &page).map_err(crate::ledger_errors)?;
                let event_id = view.columns().iter().position(|column| column.name == "event_id");
                if let Some(at) = event_id.filter(|_| !args.event_ids) {
                    rows.iter_mut().for_each(|row| row[at] = Cell::Null);
                }
                rows.iter().try_for_each(|row| sheet.row(row)).map_err(disk(path))?;
            }
        }
        for (view, sheet, name, path) in sheets {
            let written = sheet.finish().map_err(disk(&path))?;
            listed.push(Listed::of(view, name, written));
        }
    }
    bar.finish_and_clear();
    Ok((range, listed))
}

/// Positions of the rows of one kind a filter lets through, page by page, oldest first, up to the signed head.
struct Pages<'r> {
    reader: &'r Reader,
    filter: Option<Filter>,
}

impl<'r> Pages<'r> {
    fn of(reader: &'r Reader, filter: &Filter, kind: Kind, head: &Head) -> Pages<'r> {
        let asked = filter.kind.is_none_or(|asked| asked == kind);
        let before = Some(Seq(head.size.saturating_add(1)));
        let filter = Filter { kind: Some(kind), before, limit: PAGE_ROWS, ..filter.clone() };
        Pages { reader, filter: asked.then_some(filter) }
    }
}

impl Iterator for Pages<'_> {
    type Item = Result<Vec<Seq>>;

    fn next(&mut self) -> Option<Result<Vec<Seq>>> {
        let filter = self.filter.as_mut()?;
        let page = self.reader.seqs(filter).map_err(crate::ledger_errors);
        match page.as_ref().ok().and_then(|page| page.last()) {
            Some(last) => filter.after = Some(*last),
            None => self.filter = None,
        }
        match page {
            Ok(page) if page.is_empty() => None,
            page => Some(page),
        }
    }
}

/// Records that rows left the ledger. Returns the row that says so.
fn record(
    writer: &mut Writer,
    manifest: &Manifest,
    (purpose, event_ids): (&str, bool),
    digest: Digest,
) -> Result<u64> {
    let rows: serde_json::Map<_, _> =
        manifest.files.iter().map(|file| (file.view.clone(), json!(file.rows))).collect();
    let body = json!({
        "v": 1, "what": "rows", "purpose": purpose, "form": manifest.form, "filter": manifest.filter, "rows": rows,
        "event_ids": event_ids, "sha256": digest,
    });
    let entry = Entry::new(Kind::Export, Uuid::now_v7().into_bytes(), body.to_string());
    let appended = writer.append_signed(runtime::clock::wall(), &[entry]).map_err(crate::ledger_errors)?;
    Ok(appended.first.0)
}

fn say(args: &Args, manifest: &Manifest, row: u64, digest: Digest) -> Result<()> {
    let rows: Vec<String> =
        manifest.files.iter().map(|file| format!("{} {}", grouped(file.rows), file.view)).collect();
    if args.output == Document::Json {
        return output::json(&json!({
            "row": row, "folder": args.out, "manifest_sha256": digest, "files": manifest.files, "tree": manifest.tree,
        }));
    }
    output::line(&format!(
        "row {row}: {} in {}, under the head of {} rows; manifest {digest}",
        rows.join(", "),
        args.out.display(),
        grouped(manifest.tree.size)
    ))
}
