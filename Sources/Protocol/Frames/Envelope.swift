package import Foundation
package import Foundations
import Models
package import Numerics

/// A message as frames: one header, then one raw little-endian frame for each tensor.
///
/// Header frame: magic `EQTR`; version (u16); kind (u8); tensor count (u8); job (16 bytes, zero when there is none); for each
/// tensor its type (u8), rank (u8) and dimensions (u64 each); then the kind's own fields, which must fill the frame exactly.
package struct Envelope {
  static let magic: [UInt8] = Array("EQTR".utf8)
  static let largestTensorCount = 8

  let kind: UInt8
  let job: JobID
  package var fields = WireWriter()
  private(set) var descriptors: [TensorDescriptor] = []
  private(set) var tensorFrames: [Data] = []
  /// Makes the frame of a tensor that may travel as bfloat16 numbers, by its place.
  private var narrowings: [(place: Int, frame: () -> Data)] = []
  private var laterFields: [(since: WireVersion, fields: WireWriter)] = []

  package init(kind: UInt8, job: JobID) {
    self.kind = kind
    self.job = job
  }

  package mutating func attach<Element: TensorElement>(_ tensor: Tensor<Element>) {
    descriptors.append(TensorDescriptor(type: Element.elementType, shape: tensor.shape))
    tensorFrames.append(tensor.bytes)
  }

  /// A model's inputs, its outputs or their gradients: what travels as bfloat16 numbers where a job computes in them.
  package mutating func attach<Element: FloatingElement>(values tensor: Tensor<Element>) {
    narrowings.append((descriptors.count, { tensor.narrowed.bytes }))
    attach(tensor)
  }

  /// Appends text behind all other fields, which versions before `version` do not have.
  package mutating func write(text: String, since version: WireVersion) {
    var fields = WireWriter()
    fields.write(text: text)
    laterFields.append((version, fields))
  }

  /// Of all tensor frames, where none is narrowed.
  package var tensorBytes: Int { tensorFrames.reduce(0) { $0 + $1.count } }

  /// The frames to send in the newest version; tensor frames share the tensors' memory.
  var frames: [Data] { frames(version: .current) }

  /// - Parameters:
  ///   - version: what the other side reads.
  ///   - narrowingValues: whether the conversation's job has its values travel as bfloat16 numbers; versions before 6 do not know these.
  package func frames(version: WireVersion, narrowingValues: Bool = false) -> [Data] {
    var (descriptors, tensorFrames) = (descriptors, tensorFrames)
    for (place, frame) in narrowings where narrowingValues && version >= .six {
      descriptors[place] = TensorDescriptor(type: .bfloat16, shape: descriptors[place].shape)
      tensorFrames[place] = frame()
    }
    var header = WireWriter()
    header.write(Self.magic)
    header.write(version.rawValue)
    header.write(kind)
    header.write(UInt8(clamping: descriptors.count))
    header.write(job.bytes)
    for descriptor in descriptors { descriptor.write(to: &header) }
    header.write(fields.data)
    for (since, fields) in laterFields where version >= since { header.write(fields.data) }
    return [header.data] + tensorFrames
  }
}

/// The versions of messages that this program reads. JSON readers pass over keys that they do not know, so that every field that is added
/// to a document needs a new version: a program of before would leave it out without a word.
package enum WireVersion: UInt16, Sendable, Comparable, CaseIterable {
  /// A job's model is the name of a family with its sizes (`JobDescriptionVersion2`).
  case two = 2
  /// A job's model is a graph of layers.
  case three = 3
  /// A job may have differentially private steps (`StepPrivacy`), and then says how many rows each has (*step*).
  case four = 4
  /// Masked models are hosted and asked by many (`DeploymentDescription`). A job may correct its steps (`StepCorrection`), and continue the
  /// schedule of jobs before it (`SchedulePart`).
  case five = 5
  /// A job says in which numbers it computes (`TrainingPrecision`); values travel as bfloat16 numbers where these are such. The owner is told
  /// what its job is multiplied with.
  case six = 6

  /// What this program writes on its own account. A server answers in the version that it was spoken to.
  package static let current = WireVersion.six
  static let oldest = WireVersion.two
  /// What a client falls back to before a server that does not know `current`.
  package static let oldestOfServers = WireVersion.five

  package static func < (left: WireVersion, right: WireVersion) -> Bool { left.rawValue < right.rawValue }

  /// Of a message's header frame; nil for a version that is not read here, and for what is no message.
  package init?(of message: [Data]) {
    guard let header = message.first else { return nil }
    var reader = WireReader(header)
    guard let magic = try? reader.take(Envelope.magic.count), Array(magic) == Envelope.magic,
      let number: UInt16 = try? reader.read()
    else { return nil }
    self.init(rawValue: number)
  }
}

extension Envelope {
  /// Appends counts and indices, each at least 0.
  package mutating func write(_ indices: Int...) {
    for index in indices { fields.write(UInt64(clamping: index)) }
  }

  /// Appends a JSON document that fills the rest of the header; for rare messages, where structure matters more than speed.
  package mutating func writeJSON(_ value: some Encodable) {
    let encoder = JSONEncoder()
    encoder.outputFormatting = .sortedKeys
    encoder.nonConformingFloatEncodingStrategy = .convertToString(
      positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    // These types hold numbers, text and arrays of them, which always encode; an empty document is refused by the reader.
    fields.write((try? encoder.encode(value)) ?? Data())
  }
}

extension OpenedEnvelope {
  /// Decodes the JSON document that fills the rest of the header.
  ///
  /// - Throws: `WireError.malformed` that names the document; `.invalidJob` for a graph of layers that is refused.
  package mutating func readJSON<Value: Decodable>(
    _ what: String, of type: Value.Type = Value.self
  ) throws(WireError) -> Value {
    let decoder = JSONDecoder()
    decoder.nonConformingFloatDecodingStrategy = .convertFromString(
      positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    do {
      return try decoder.decode(Value.self, from: Data(fields.takeRest()))
    } catch let error as GraphError {
      throw .invalidJob(error.description)
    } catch let error as WireError {
      throw error
    } catch DecodingError.dataCorrupted(let context) where !context.codingPath.isEmpty {
      // A kind of optimizer, activation or the like that another version has.
      let field = context.codingPath.map(\.stringValue).joined(separator: ".").printable()
      throw .malformed("\(what) cannot be read: this program does not know the value of `\(field)`")
    } catch {
      throw .malformed("\(what) cannot be read")
    }
  }
}

/// A received message whose header has been checked against its frames; fields and tensors are taken in order.
package struct OpenedEnvelope {
  /// In which the other side speaks.
  package let version: WireVersion
  package let kind: UInt8
  package let job: JobID
  package var fields: WireReader
  private var descriptors: ArraySlice<TensorDescriptor>
  private var frames: ArraySlice<Data>

  /// - Throws: `WireError.malformed`, `.version` or `.oversized`; nothing is allocated for a tensor before its frame's size
  ///   is known to match its shape.
  package init(_ message: [Data], limits: WireLimits) throws(WireError) {
    guard let header = message.first else { throw .malformed("no frames") }
    guard header.count <= limits.headerBytes else {
      throw .oversized(what: "header frame", size: header.count, limit: limits.headerBytes)
    }
    var reader = WireReader(header)
    guard Array(try reader.take(Envelope.magic.count)) == Envelope.magic else {
      throw .malformed("not of this protocol")
    }
    let number: UInt16 = try reader.read()
    guard let version = WireVersion(rawValue: number) else { throw .version(theirs: Int(number)) }
    self.version = version
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
  package mutating func takeTensor<Element: TensorElement>(
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

  /// The next tensor, of a model's inputs, outputs or gradients: as it came, or widened from bfloat16 numbers.
  ///
  /// - Throws: as `takeTensor`.
  package mutating func takeValues<Element: FloatingElement>(
    _ what: String, rank: ClosedRange<Int> = 2...2
  ) throws(WireError) -> Tensor<Element> {
    guard version >= .six, descriptors.first?.type == .bfloat16 else { return try takeTensor(what, rank: rank) }
    let narrow: Tensor<BFloat16> = try takeTensor(what, rank: rank)
    return Tensor(widening: narrow)
  }

  /// - Throws: `.malformed` when fields or tensors are left over.
  package func finish() throws(WireError) {
    guard fields.isAtEnd, descriptors.isEmpty else { throw .malformed("more content than its kind has") }
  }
}

/// Type and shape of one tensor frame, as the header frame states it.
struct TensorDescriptor: Equatable {
  static let largestRank = 4

  let type: ElementType
  let shape: [Int]

  /// Bytes the frame must have.
  ///
  /// - Throws: `WireError` for a product that overflows or exceeds `limit`.
  func byteCount(limit: Int) throws(WireError) -> Int {
    // An empty tensor's other dimensions are multiplied too, as `Tensor.columns` does.
    guard let bytes = Shape.byteCount(shape, type), Shape.elementCount(shape.map { max($0, 1) }) != nil else {
      throw .malformed("a tensor shape that overflows")
    }
    // In memory they are floats.
    let limit = type == .bfloat16 ? limit / 2 : limit
    guard bytes <= limit else { throw .oversized(what: "tensor", size: bytes, limit: limit) }
    return bytes
  }

  func write(to writer: inout WireWriter) {
    writer.write(type.rawValue)
    writer.write(UInt8(clamping: shape.count))
    for dimension in shape { writer.write(UInt64(clamping: dimension)) }
  }

  init(type: ElementType, shape: [Int]) {
    self.type = type
    self.shape = shape
  }

  init(from reader: inout WireReader) throws(WireError) {
    guard let type = ElementType(rawValue: try reader.read()) else { throw .malformed("an unknown element type") }
    let rank = Int(try reader.read(UInt8.self))
    guard rank <= Self.largestRank else { throw .oversized(what: "tensor rank", size: rank, limit: Self.largestRank) }
    var shape: [Int] = []
    for _ in 0..<rank { shape.append(try reader.readIndex()) }
    self.init(type: type, shape: shape)
  }
}

/// A family of messages in one direction: an enum whose cases have a kind each.
///
/// A role brings two families of its own, one for each direction. The kinds of `ConversationRequest` and `ConversationAnswer` are every
/// server's; a role's families take others.
package protocol WireMessage: Sendable {
  /// Takes fields and tensors of the envelope's kind, and ends with `OpenedEnvelope.finish`.
  ///
  /// - Throws: `WireError` for anything that is not exactly one message of this family.
  init(from envelope: inout OpenedEnvelope) throws(WireError)

  func envelope(for job: JobID) -> Envelope
}
