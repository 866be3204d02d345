import Foundations

/// Why bytes are not a safetensors file, or why a tensor cannot be had from one. Names come from the file and are cut to a
/// printable length.
package enum SafetensorsProblem: JSONFailure, Equatable, Sendable, CustomStringConvertible {
  /// Shorter than the 8 bytes that state the header's length.
  case noHeaderLength
  case headerTooLarge(limit: Int)
  /// The header would reach past the end of the file.
  case headerTruncated
  case notUTF8
  /// `offset` in bytes from the header's first.
  case json(String, offset: Int)
  case duplicateName(String)
  case unsupportedType(name: String, type: String)
  case tooManyDimensions(name: String, limit: Int)
  /// A shape whose bytes overflow.
  case impossibleShape(name: String)
  case sizeMismatch(name: String)
  case offsetsReversed(name: String)
  case overlap(name: String)
  case hole(name: String)
  case fileLength(expected: Int, found: Int)
  /// Asked for and not there.
  case missingTensor(String)
  /// The stored format cannot be read into the element type asked for.
  case wrongType(name: String, stored: String)
  /// The file became shorter while it was open.
  case readShort(name: String)
  /// A writer's tensor gave other bytes than its shape has.
  case wroteOtherSize(name: String)
  case reservedName(String)

  var kind: FailureKind {
    switch self {
    case .wroteOtherSize, .reservedName: .defect
    default: .inputData
    }
  }

  package var description: String {
    switch self {
    case .noHeaderLength: "it is shorter than 8 bytes"
    case .headerTooLarge(let limit): "its header is longer than \(limit) bytes"
    case .headerTruncated: "it ends within its header; it was cut off or is another kind of file"
    case .notUTF8: "its header is not UTF-8 text"
    case .json(let problem, let offset): "its header is not the JSON it should be, at byte \(offset): \(problem)"
    case .duplicateName(let name): "`\(name)` is in its header twice"
    case .unsupportedType(let name, let type):
      "tensor `\(name)` has the type `\(type)`; supported are "
        + SafetensorsType.allCases.map(\.rawValue).joined(separator: ", ")
    case .tooManyDimensions(let name, let limit): "tensor `\(name)` has more than \(limit) dimensions"
    case .impossibleShape(let name): "the shape of tensor `\(name)` is too large"
    case .sizeMismatch(let name): "the bytes of tensor `\(name)` are not what its type and shape take"
    case .offsetsReversed(let name): "tensor `\(name)` ends before it begins"
    case .overlap(let name): "tensor `\(name)` overlaps the one before it"
    case .hole(let name): "there are bytes before tensor `\(name)` that belong to no tensor"
    case .fileLength(let expected, let found):
      "it is \(found) bytes long where its header describes \(expected); it was cut off or added to"
    case .missingTensor(let name): "it has no tensor `\(name)`"
    case .wrongType(let name, let stored): "tensor `\(name)` holds \(stored), which is not what is needed here"
    case .readShort(let name): "tensor `\(name)` could not be read whole; the file changed while it was read"
    case .wroteOtherSize(let name): "tensor `\(name)` wrote another number of bytes than its shape has"
    case .reservedName(let name): "a tensor cannot be named `\(name)`"
    }
  }
}
