import Foundation
import Tensors

/// A received message whose header has been checked against its frames; fields and tensors are taken in order.
struct OpenedEnvelope {
  let kind: UInt8
  let job: JobID
  var fields: WireReader
  private var descriptors: ArraySlice<TensorDescriptor>
  private var frames: ArraySlice<Data>

  /// - Throws: `WireError.malformed`, `.version` or `.oversized`; nothing is allocated for a tensor before its frame's size
  ///   is known to match its shape.
  init(_ message: [Data], limits: WireLimits) throws(WireError) {
    guard let header = message.first else { throw .malformed("no frames") }
    guard header.count <= limits.headerBytes else {
      throw .oversized(what: "header frame", size: header.count, limit: limits.headerBytes)
    }
    var reader = WireReader(header)
    guard Array(try reader.take(Envelope.magic.count)) == Envelope.magic else {
      throw .malformed("not of this protocol")
    }
    let version: UInt16 = try reader.read()
    guard version == Envelope.version else {
      throw .version(theirs: Int(version), ours: Int(Envelope.version))
    }
    kind = try reader.read()
    let count = Int(try reader.read(UInt8.self))
    guard count <= Envelope.largestTensorCount else {
      throw .oversized(what: "tensor count", size: count, limit: Envelope.largestTensorCount)
    }
    job = JobID(bytes: Array(try reader.take(JobID.byteCount)))
    var descriptors: [TensorDescriptor] = []
    for _ in 0..<count { descriptors.append(try TensorDescriptor(from: &reader)) }
    guard message.count == count + 1 else {
      throw .malformed("\(message.count - 1) tensor frames where the header states \(count)")
    }
    for (descriptor, frame) in zip(descriptors, message.dropFirst()) {
      let expected = try descriptor.byteCount(limit: limits.tensorBytes)
      guard frame.count == expected else {
        throw .malformed("a tensor frame of \(frame.count) bytes where its shape takes \(expected)")
      }
    }
    fields = reader
    self.descriptors = descriptors[...]
    frames = message.dropFirst()
  }

  /// The next tensor, copied off its frame.
  ///
  /// - Throws: `.misshapen` for another element type or rank, `.malformed` when there is none.
  mutating func takeTensor<Element: TensorElement>(
    _ what: String, rank: ClosedRange<Int>, of type: Element.Type = Element.self
  ) throws(WireError) -> Tensor<Element> {
    guard let descriptor = descriptors.popFirst(), let frame = frames.popFirst() else {
      throw .malformed("\(what) is missing")
    }
    guard descriptor.type == Element.elementType else {
      throw .misshapen("\(what) holds \(descriptor.type), not \(Element.elementType)")
    }
    guard rank.contains(descriptor.shape.count) else {
      throw .misshapen("\(what) has \(descriptor.shape.count) dimensions")
    }
    guard let tensor = Tensor<Element>(bytes: frame, shape: descriptor.shape) else {
      throw .malformed("\(what) does not fill its shape")
    }
    return tensor
  }

  /// - Throws: `.malformed` when fields or tensors are left over.
  func finish() throws(WireError) {
    guard fields.isAtEnd, descriptors.isEmpty else { throw .malformed("more content than its kind has") }
  }
}
