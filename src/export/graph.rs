//! A graph under construction: nodes in the order in which they run, and the tensors they read.

use std::collections::HashSet;
use std::rc::Rc;

use super::graph_tensor::GraphTensor;
use super::messages::{self, AxisSize, ElementType, NodeAttribute};
use crate::error::Result;
use crate::proto::ProtoMessage;

/// A tensor in a graph, by its name.
#[derive(Debug, Clone)]
pub(super) struct GraphValue(Rc<str>);

/// A graph; each value is made by one node, before the nodes that read it.
#[derive(Debug, Default)]
pub(super) struct OnnxGraph {
    pub(super) nodes: Vec<ProtoMessage>,
    pub(super) inputs: Vec<ProtoMessage>,
    pub(super) outputs: Vec<ProtoMessage>,
    pub(super) initializers: Vec<GraphTensor>,
    /// Names of initializers, so that constants and shared weights are stored once.
    stored: HashSet<String>,
    /// Nodes made so far, branches included.
    made: usize,
}

impl OnnxGraph {
    /// An input.
    pub(super) fn input(&mut self, name: &str, kind: ElementType, axes: &[AxisSize<'_>]) -> GraphValue {
        self.inputs.push(messages::value_info(name, kind, Some(axes)));
        GraphValue(name.into())
    }

    /// Makes `value` the f32 output of this name.
    pub(super) fn output(&mut self, name: &str, value: &GraphValue, axes: &[AxisSize<'_>]) {
        self.outputs.push(messages::value_info(name, ElementType::F32, Some(axes)));
        self.nodes.push(messages::node(name, "Identity", &[&value.0], &[name], &[]));
    }

    /// The result of an operator.
    pub(super) fn op(&mut self, operator: &str, inputs: &[&GraphValue]) -> GraphValue {
        self.op_with(operator, inputs, &[])
    }

    /// The result of an operator with attributes.
    pub(super) fn op_with(
        &mut self,
        operator: &str,
        inputs: &[&GraphValue],
        attributes: &[NodeAttribute],
    ) -> GraphValue {
        let [result] = self.ops(operator, inputs, attributes);
        result
    }

    /// The results of an operator that has several.
    pub(super) fn ops<const N: usize>(
        &mut self,
        operator: &str,
        inputs: &[&GraphValue],
        attributes: &[NodeAttribute],
    ) -> [GraphValue; N] {
        let name = self.name(operator);
        let results: [GraphValue; N] = std::array::from_fn(|i| GraphValue(format!("{name}_{i}").into()));
        self.push(&name, operator, inputs, &results, attributes);
        results
    }

    /// The results of one of two branches, which see all values made so far and give equally many f32 tensors.
    pub(super) fn either(
        &mut self,
        condition: &GraphValue,
        then: impl FnOnce(&mut Self) -> Result<Vec<GraphValue>>,
        otherwise: impl FnOnce(&mut Self) -> Result<Vec<GraphValue>>,
    ) -> Result<Vec<GraphValue>> {
        let (then, count) = self.branch("then", then)?;
        let (otherwise, _) = self.branch("else", otherwise)?;
        let name = self.name("If");
        let results: Vec<_> = (0..count).map(|i| GraphValue(format!("{name}_{i}").into())).collect();
        let branches = [NodeAttribute::Graph("then_branch", then), NodeAttribute::Graph("else_branch", otherwise)];
        self.push(&name, "If", &[condition], &results, &branches);
        Ok(results)
    }

    fn branch(
        &mut self,
        name: &str,
        make: impl FnOnce(&mut Self) -> Result<Vec<GraphValue>>,
    ) -> Result<(ProtoMessage, usize)> {
        let outer = std::mem::take(&mut self.nodes);
        let values = make(self);
        // A branch's results are made in it, also where it hands on a value from outside.
        let values: Vec<_> = values?.iter().map(|value| self.op("Identity", &[value])).collect();
        let nodes = std::mem::replace(&mut self.nodes, outer);
        let graph = nodes.iter().fold(ProtoMessage::new(), |graph, node| graph.message(1, node)).bytes(2, name);
        let outputs = values.iter().map(|value| messages::value_info(&value.0, ElementType::F32, None));
        Ok((outputs.fold(graph, |graph, output| graph.message(12, &output)), values.len()))
    }

    fn push(
        &mut self,
        name: &str,
        operator: &str,
        inputs: &[&GraphValue],
        results: &[GraphValue],
        attributes: &[NodeAttribute],
    ) {
        let inputs: Vec<&str> = inputs.iter().map(|value| &*value.0).collect();
        let outputs: Vec<&str> = results.iter().map(|value| &*value.0).collect();
        self.nodes.push(messages::node(name, operator, &inputs, &outputs, attributes));
    }

    fn name(&mut self, operator: &str) -> String {
        self.made += 1;
        format!("{}_{}", operator.rsplit("::").next().unwrap_or(operator), self.made)
    }

    /// A tensor that is stored in the file.
    pub(super) fn stored(
        &mut self,
        name: &str,
        kind: ElementType,
        dims: &[usize],
        data: impl Fn() -> Result<Vec<u8>> + 'static,
    ) -> GraphValue {
        if self.stored.insert(name.to_owned()) {
            let (name, dims, data) = (name.to_owned(), dims.to_vec(), Box::new(data));
            self.initializers.push(GraphTensor { name, kind, dims, data });
        }
        GraphValue(name.into())
    }

    /// A vector of integers.
    pub(super) fn ints(&mut self, values: &[i64]) -> GraphValue {
        let text: Vec<String> = values.iter().map(i64::to_string).collect();
        self.named_ints(&format!("ints_{}", text.join("_")), values)
    }

    /// A vector of integers under a name of its own.
    pub(super) fn named_ints(&mut self, name: &str, values: &[i64]) -> GraphValue {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.stored(name, ElementType::I64, &[values.len()], move || Ok(bytes.clone()))
    }

    /// One integer.
    pub(super) fn int(&mut self, value: i64) -> GraphValue {
        self.stored(&format!("int_{value}"), ElementType::I64, &[], move || Ok(value.to_le_bytes().to_vec()))
    }

    /// One number.
    pub(super) fn float(&mut self, value: f32) -> GraphValue {
        self.stored(&format!("float_{value:?}"), ElementType::F32, &[], move || Ok(value.to_le_bytes().to_vec()))
    }

    /// The size of an axis, as a vector of one.
    pub(super) fn size(&mut self, x: &GraphValue, axis: i64) -> GraphValue {
        let bounds = [NodeAttribute::Int("start", axis), NodeAttribute::Int("end", axis + 1)];
        self.op_with("Shape", &[x], &bounds)
    }

    /// `x` with another shape; 0 stands for the size that the axis has, -1 for what is left.
    pub(super) fn reshape(&mut self, x: &GraphValue, shape: &[i64]) -> GraphValue {
        let shape = self.ints(shape);
        self.op("Reshape", &[x, &shape])
    }

    /// `x` with another shape, whose sizes are vectors of one, as those of [`OnnxGraph::reshape`].
    pub(super) fn reshape_to(&mut self, x: &GraphValue, sizes: &[&GraphValue]) -> GraphValue {
        let shape = self.op_with("Concat", sizes, &[NodeAttribute::Int("axis", 0)]);
        self.op("Reshape", &[x, &shape])
    }

    /// `x` with its axes in this order.
    pub(super) fn transpose(&mut self, x: &GraphValue, order: &[i64]) -> GraphValue {
        self.op_with("Transpose", &[x], &[NodeAttribute::Ints("perm", order.to_vec())])
    }

    /// `x` with new axes of size 1 in these places.
    pub(super) fn unsqueeze(&mut self, x: &GraphValue, axes: &[i64]) -> GraphValue {
        let axes = self.ints(axes);
        self.op("Unsqueeze", &[x, &axes])
    }

    /// The integers from the one entry of `from` up to that of `to`, which is not reached.
    pub(super) fn range(&mut self, from: &GraphValue, to: &GraphValue) -> GraphValue {
        let (first, one) = (self.ints(&[0]), self.int(1));
        let (from, to) = (self.op("Squeeze", &[from, &first]), self.op("Squeeze", &[to, &first]));
        self.op("Range", &[&from, &to, &one])
    }
}
