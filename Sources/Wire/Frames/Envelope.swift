import Foundation
import Tensors

/// A message as frames: one header, then one raw little-endian frame for each tensor.
///
/// Header frame: magic `EQTR`; version (u16); kind (u8); tensor count (u8); job (16 bytes, zero when there is none); for each
/// tensor its type (u8), rank (u8) and dimensions (u64 each); then the kind's own fields, which must fill the frame exactly.
struct Envelope {
  static let magic: [UInt8] = Array("EQTR".utf8)
  /// 2: a perceptron's description may have an adapter, which a reader of version 1 would leave out of the model without a word.
  static let version: UInt16 = 2
  static let largestTensorCount = 8

  let kind: UInt8
  let job: JobID
  var fields = WireWriter()
  private(set) var descriptors: [TensorDescriptor] = []
  private(set) var tensorFrames: [Data] = []

  init(kind: UInt8, job: JobID) {
    self.kind = kind
    self.job = job
  }

  mutating func attach<Element: TensorElement>(_ tensor: Tensor<Element>) {
    descriptors.append(TensorDescriptor(type: Element.elementType, shape: tensor.shape))
    tensorFrames.append(tensor.bytes)
  }

  /// The frames to send; tensor frames share the tensors' memory.
  var frames: [Data] {
    var header = WireWriter()
    header.write(Self.magic)
    header.write(Self.version)
    header.write(kind)
    header.write(UInt8(clamping: descriptors.count))
    header.write(job.bytes)
    for descriptor in descriptors { descriptor.write(to: &header) }
    header.write(fields.data)
    return [header.data] + tensorFrames
  }
}
