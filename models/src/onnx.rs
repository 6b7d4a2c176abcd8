//! The outline of an ONNX file, read without an engine.
//!
//! Models are untrusted input, and an engine that trips over one may take the process with it. So the file is
//! walked first, as protobuf, for what the manifest must agree with: operators, ports, opset, and whether it
//! reaches outside itself. Field numbers are those of `onnx.proto` (ONNX 1.x).

use std::collections::BTreeSet;

/// Largest model file in bytes. The shipped models are tens of KiB; tree ensembles reach a few hundred.
pub const BYTES_MAX: usize = 16 << 20;

/// Most nodes of a graph; the shipped graphs have about thirty.
pub const NODES_MAX: usize = 10_000;

/// Deepest nesting of messages that is followed; a plain graph needs five levels.
const DEPTH_MAX: u32 = 16;

/// Why a file has no outline.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Too large to look at.
    #[error("{0} bytes, at most {BYTES_MAX} are read")]
    TooLarge(usize),
    /// Not protobuf, or not a model.
    #[error("not an ONNX model: {0}")]
    NotAModel(&'static str),
    /// Too many nodes.
    #[error("more than {NODES_MAX} nodes")]
    TooManyNodes,
}

/// A graph's input or output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Its name.
    pub name: String,
    /// ONNX element type; 1 is `float32`.
    pub element: u64,
    /// Its dimensions; `None` where the graph leaves the size open.
    pub shape: Vec<Option<i64>>,
}

/// What a model file says about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outline {
    /// Version of the standard operator set.
    pub opset: i64,
    /// Operators, `Gemm` for standard ones, `ai.onnx.ml.TreeEnsembleRegressor` for others.
    pub operators: BTreeSet<String>,
    /// Number of nodes.
    pub nodes: usize,
    /// Inputs that are not weights.
    pub inputs: Vec<Port>,
    /// Outputs.
    pub outputs: Vec<Port>,
    /// Whether weights live in other files.
    pub external_data: bool,
    /// Whether it holds functions or nested graphs (loops, branches).
    pub nested: bool,
}

/// Reads the outline of a model file.
///
/// # Errors
/// The file is no ONNX model or exceeds the bounds above.
pub fn outline(bytes: &[u8]) -> Result<Outline, Malformed> {
    if bytes.len() > BYTES_MAX {
        return Err(Malformed::TooLarge(bytes.len()));
    }
    let mut outline = Outline::default();
    let mut weights = BTreeSet::new();
    for field in Fields(bytes) {
        match field? {
            (7, Value::Bytes(graph)) => read_graph(graph, &mut outline, &mut weights, DEPTH_MAX)?,
            (8, Value::Bytes(opset)) => read_opset(opset, &mut outline)?,
            (25, _) => outline.nested = true,
            _ => {}
        }
    }
    if outline.nodes == 0 || outline.inputs.is_empty() || outline.outputs.is_empty() {
        return Err(Malformed::NotAModel("no graph with nodes, an input and an output"));
    }
    outline.inputs.retain(|port| !weights.contains(&port.name));
    Ok(outline)
}

fn read_opset(bytes: &[u8], outline: &mut Outline) -> Result<(), Malformed> {
    let (mut domain, mut version) = (String::new(), 0);
    for field in Fields(bytes) {
        match field? {
            (1, Value::Bytes(name)) => domain = text(name),
            (2, Value::Number(number)) => version = number.cast_signed(),
            _ => {}
        }
    }
    if domain.is_empty() || domain == "ai.onnx" {
        outline.opset = version;
    }
    Ok(())
}

fn read_graph(
    bytes: &[u8],
    outline: &mut Outline,
    weights: &mut BTreeSet<String>,
    depth: u32,
) -> Result<(), Malformed> {
    for field in Fields(bytes) {
        match field? {
            (1, Value::Bytes(node)) => read_node(node, outline, depth)?,
            (5, Value::Bytes(tensor)) => _ = weights.insert(read_tensor(tensor, outline)?),
            (11, Value::Bytes(port)) => outline.inputs.push(read_port(port)?),
            (12, Value::Bytes(port)) => outline.outputs.push(read_port(port)?),
            _ => {}
        }
    }
    Ok(())
}

fn read_node(bytes: &[u8], outline: &mut Outline, depth: u32) -> Result<(), Malformed> {
    let (mut operator, mut domain) = (String::new(), String::new());
    outline.nodes += 1;
    if outline.nodes > NODES_MAX {
        return Err(Malformed::TooManyNodes);
    }
    if depth == 0 {
        return Err(Malformed::NotAModel("nested too deeply"));
    }
    for field in Fields(bytes) {
        match field? {
            (4, Value::Bytes(name)) => operator = text(name),
            (7, Value::Bytes(name)) => domain = text(name),
            (5, Value::Bytes(attribute)) => read_attribute(attribute, outline)?,
            _ => {}
        }
    }
    let standard = domain.is_empty() || domain == "ai.onnx";
    outline.operators.insert(if standard { operator } else { format!("{domain}.{operator}") });
    Ok(())
}

fn read_attribute(bytes: &[u8], outline: &mut Outline) -> Result<(), Malformed> {
    for field in Fields(bytes) {
        match field? {
            (5 | 10, Value::Bytes(tensor)) => _ = read_tensor(tensor, outline)?,
            (6 | 11, Value::Bytes(_)) => outline.nested = true,
            _ => {}
        }
    }
    Ok(())
}

/// The tensor's name; notes when its data lives elsewhere.
fn read_tensor(bytes: &[u8], outline: &mut Outline) -> Result<String, Malformed> {
    let mut name = String::new();
    for field in Fields(bytes) {
        match field? {
            (8, Value::Bytes(bytes)) => name = text(bytes),
            (13, _) => outline.external_data = true,
            (14, Value::Number(location)) => outline.external_data |= location != 0,
            _ => {}
        }
    }
    Ok(name)
}

fn read_port(bytes: &[u8]) -> Result<Port, Malformed> {
    let mut port = Port { name: String::new(), element: 0, shape: Vec::new() };
    for field in Fields(bytes) {
        match field? {
            (1, Value::Bytes(name)) => port.name = text(name),
            (2, Value::Bytes(kind)) => {
                for tensor in messages(kind, 1)? {
                    read_tensor_type(tensor, &mut port)?;
                }
            }
            _ => {}
        }
    }
    Ok(port)
}

fn read_tensor_type(bytes: &[u8], port: &mut Port) -> Result<(), Malformed> {
    for field in Fields(bytes) {
        match field? {
            (1, Value::Number(element)) => port.element = element,
            (2, Value::Bytes(shape)) => {
                for dimension in messages(shape, 1)? {
                    let sizes: Result<Vec<_>, _> = Fields(dimension).collect();
                    let size = sizes?.into_iter().find_map(|field| match field {
                        (1, Value::Number(size)) => Some(size.cast_signed()),
                        _ => None,
                    });
                    port.shape.push(size);
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// The nested messages with this field number.
fn messages(bytes: &[u8], number: u64) -> Result<Vec<&[u8]>, Malformed> {
    let mut found = Vec::new();
    for field in Fields(bytes) {
        if let (other, Value::Bytes(message)) = field?
            && other == number
        {
            found.push(message);
        }
    }
    Ok(found)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).chars().take(200).collect()
}

/// A protobuf value; fixed-size ones are skipped, no field we read has one.
enum Value<'b> {
    Number(u64),
    Bytes(&'b [u8]),
    Other,
}

/// The fields of a protobuf message, as (field number, value).
struct Fields<'b>(&'b [u8]);

impl<'b> Fields<'b> {
    fn varint(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= u64::from(byte & 127) << shift;
            if *byte < 128 {
                return Some(value);
            }
        }
        None
    }

    fn take(&mut self, length: u64) -> Option<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(usize::try_from(length).ok()?)?;
        self.0 = rest;
        Some(taken)
    }

    fn field(&mut self) -> Option<(u64, Value<'b>)> {
        let tag = self.varint()?;
        let value = match tag & 7 {
            0 => Value::Number(self.varint()?),
            1 => self.take(8).map(|_| Value::Other)?,
            2 => {
                let length = self.varint()?;
                Value::Bytes(self.take(length)?)
            }
            5 => self.take(4).map(|_| Value::Other)?,
            _ => return None,
        };
        Some((tag >> 3, value))
    }
}

impl<'b> Iterator for Fields<'b> {
    type Item = Result<(u64, Value<'b>), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_none() {
            self.0 = &[];
        }
        Some(field.ok_or(Malformed::NotAModel("damaged or cut off")))
    }
}
