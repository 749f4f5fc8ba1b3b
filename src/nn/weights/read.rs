//! Reads safetensors, one file or several with an index, one tensor at a time.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use candle_core::{Device, Tensor};
use safetensors::Dtype as Stored;
use safetensors::tensor::{Metadata, TensorInfo};

use crate::error::{Error, Result};
use crate::files::{check_is_file, read_text};
use crate::nn::dtype::decode;

/// The longest header that safetensors allows.
const LONGEST_HEADER: u64 = 100_000_000;

/// The tensors of one or more safetensors files.
pub(super) struct Checkpoint<'a> {
    label: String,
    shards: Vec<Shard<'a>>,
    place: HashMap<String, usize>,
}

struct Shard<'a> {
    label: String,
    data: Data<'a>,
    /// Offset of the first tensor.
    start: u64,
    header: Metadata,
}

enum Data<'a> {
    File(File),
    Memory(&'a [u8]),
}

impl<'a> Checkpoint<'a> {
    /// Opens `dir/model.safetensors`, or the files that `dir/model.safetensors.index.json` names.
    pub(super) fn open_model(dir: &Path) -> Result<Self> {
        let (one, index) = (dir.join("model.safetensors"), dir.join("model.safetensors.index.json"));
        if one.exists() || !index.exists() {
            return Self::open(&one).map_err(|error| match dir.join("pytorch_model.bin").exists() {
                true => error.with_hint(
                    "the folder has pytorch_model.bin, a pickle; transformers saves safetensors: \
                     model.save_pretrained(dir)",
                ),
                false => error,
            });
        }
        #[derive(serde::Deserialize)]
        struct Index {
            weight_map: HashMap<String, String>,
        }
        let text = read_text(&index)?;
        let map = serde_json::from_str::<Index>(&text)
            .map_err(|e| Error::broken(format!("{}: {e}", index.display())))?
            .weight_map;
        let files: BTreeSet<&String> = map.values().collect();
        // Names from a file must not lead out of the folder.
        if let Some(file) = files.iter().find(|file| file.contains(['/', '\\'])) {
            return Err(Error::broken(format!("{} names the file '{file}' outside of its folder", index.display())));
        }
        let shards = files.into_iter().map(|file| Shard::open(&dir.join(file))).collect::<Result<_>>()?;
        Ok(Self::new(index.display().to_string(), shards))
    }

    /// Opens one file.
    pub(super) fn open(path: &Path) -> Result<Self> {
        Ok(Self::new(path.display().to_string(), vec![Shard::open(path)?]))
    }

    /// Reads a file that is in memory; `label` is its name in messages.
    pub(super) fn from_bytes(label: &str, bytes: &'a [u8]) -> Result<Self> {
        let shard = Shard::new(label.to_owned(), Data::Memory(bytes), bytes.len() as u64)?;
        Ok(Self::new(label.to_owned(), vec![shard]))
    }

    fn new(label: String, shards: Vec<Shard<'a>>) -> Self {
        let place = shards
            .iter()
            .enumerate()
            .flat_map(|(i, shard)| shard.header.offset_keys().into_iter().map(move |name| (name, i)))
            .collect();
        Self { label, shards, place }
    }

    /// The name used in messages.
    pub(super) fn label(&self) -> &str {
        &self.label
    }

    /// An entry of the metadata of its first file.
    pub(super) fn metadata(&self, key: &str) -> Option<&str> {
        self.shards.first()?.header.metadata().as_ref()?.get(key).map(String::as_str)
    }

    /// All names, sorted.
    pub(super) fn names(&self) -> BTreeSet<&str> {
        self.place.keys().map(String::as_str).collect()
    }

    /// Whether it has a tensor called `name`.
    pub(super) fn has(&self, name: &str) -> bool {
        self.place.contains_key(name)
    }

    /// Kind and shape of a tensor.
    pub(super) fn info(&self, name: &str) -> Result<&TensorInfo> {
        let found = self.place.get(name).and_then(|&i| self.shards[i].header.info(name));
        found.ok_or_else(|| {
            let names: Vec<&str> = self.names().into_iter().collect();
            let error = Error::broken(format!("{} has no tensor '{name}'", self.label));
            match crate::error::nearest(name, &names) {
                Some(near) => error.with_hint(format!("the nearest name in it is '{near}'")),
                None => error.with_hint(format!("it has {} tensors; is it for this model?", names.len())),
            }
        })
    }

    /// The bytes of a tensor.
    pub(super) fn bytes(&mut self, name: &str) -> Result<Vec<u8>> {
        let (start, end) = self.info(name)?.data_offsets;
        let shard = &mut self.shards[self.place[name]];
        let mut bytes = vec![0; end - start];
        shard
            .data
            .read(shard.start + start as u64, &mut bytes)
            .map_err(|e| Error::io("cannot read", &shard.label, e))?;
        Ok(bytes)
    }

    /// A float tensor of `shape`, as f32.
    pub(super) fn floats(&mut self, name: &str, shape: &[usize], device: &Device) -> Result<Tensor> {
        let info = self.info(name)?;
        if info.shape != shape {
            return Err(Error::broken(format!(
                "{}: tensor '{name}' has the shape {:?}, the model needs {shape:?}",
                self.label, info.shape
            ))
            .with_hint("the config and the weights are not of one model"));
        }
        let dtype = info.dtype;
        match decode(dtype, &self.bytes(name)?) {
            Some(values) => Ok(Tensor::from_vec(values, shape, device)?),
            None => Err(Error::broken(format!("{}: tensor '{name}' holds {dtype}, not floats", self.label))
                .with_hint("of quantised weights only bitsandbytes' NF4 is read")),
        }
    }

    /// The bytes of a tensor with `count` numbers of type `stored`.
    pub(super) fn exactly(&mut self, name: &str, stored: Stored, count: usize) -> Result<Vec<u8>> {
        let info = self.info(name)?;
        if info.dtype != stored || info.shape.iter().product::<usize>() != count {
            return Err(Error::broken(format!(
                "{}: tensor '{name}' holds {} {:?}, the model needs {count} values of {stored}",
                self.label, info.dtype, info.shape
            )));
        }
        self.bytes(name)
    }
}

impl<'a> Shard<'a> {
    fn open(path: &Path) -> Result<Self> {
        check_is_file(path)?;
        let file = File::open(path).map_err(|e| Error::io("cannot read", path, e))?;
        let length = file.metadata().map_err(|e| Error::io("cannot read", path, e))?.len();
        Self::new(path.display().to_string(), Data::File(file), length)
    }

    fn new(label: String, mut data: Data<'a>, length: u64) -> Result<Self> {
        let broken = |what: String| Error::broken(format!("{label} is not a complete safetensors file: {what}"));
        let mut size = [0; 8];
        data.read(0, &mut size).map_err(|_| broken(format!("it has {length} bytes")))?;
        let header_length = u64::from_le_bytes(size);
        if header_length > LONGEST_HEADER || header_length + 8 > length {
            return Err(broken(format!("it announces a header of {header_length} bytes and has {length} in all")));
        }
        let mut header = vec![0; header_length as usize];
        data.read(8, &mut header).map_err(|e| Error::io("cannot read", &label, e))?;
        let header: Metadata = serde_json::from_slice(&header).map_err(|e| broken(e.to_string()))?;
        let (start, needed) = (8 + header_length, header.data_len() as u64);
        if length - start != needed {
            return Err(broken(format!("{} bytes of tensors are announced, {} are there", needed, length - start)));
        }
        Ok(Self { label, data, start, header })
    }
}

impl Data<'_> {
    fn read(&mut self, at: u64, out: &mut [u8]) -> std::io::Result<()> {
        match self {
            Self::File(file) => {
                file.seek(SeekFrom::Start(at))?;
                file.read_exact(out)
            }
            Self::Memory(bytes) => bytes.get(at as usize..).unwrap_or_default().read_exact(out),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(bytes: &[u8]) -> String {
        Checkpoint::from_bytes("x.safetensors", bytes).err().expect("refused").to_string()
    }

    fn file(header: &str, data: &[u8]) -> Vec<u8> {
        [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
    }

    #[test]
    fn a_file_that_is_cut_or_mangled_is_refused() {
        let header = r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;
        let whole = file(header, &[0; 8]);
        let mut tensors = Checkpoint::from_bytes("x.safetensors", &whole).unwrap();
        assert_eq!(tensors.bytes("a").unwrap(), [0; 8]);
        for length in 0..whole.len() {
            assert!(refusal(&whole[..length]).contains("x.safetensors"), "{length}");
        }
        assert!(refusal(&[255; 100]).contains("header"));
        assert!(
            refusal(&file(r#"{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}"#, &[0; 8])).contains("x.safe")
        );
        assert!(
            refusal(&file(r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}"#, &[0; 8])).contains("x.safe")
        );
    }

    #[test]
    fn a_missing_tensor_and_another_shape_are_named() {
        let whole = file(r#"{"model.norm":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#, &[0; 8]);
        let mut tensors = Checkpoint::from_bytes("x.safetensors", &whole).unwrap();
        let text = tensors.info("model.nrm").unwrap_err().to_string();
        assert!(text.contains("x.safetensors has no tensor 'model.nrm'") && text.contains("'model.norm'"), "{text}");
        let text = tensors.floats("model.norm", &[3], &Device::Cpu).unwrap_err().to_string();
        assert!(text.contains("'model.norm' has the shape [2], the model needs [3]"), "{text}");
    }
}
