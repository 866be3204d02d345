import Foundation
import Foundations
import Models
import Numerics
import TestSupport
import Testing

@testable import Files

@Suite struct SafetensorsFileTests {
  /// What numpy and Python's json write for {"w": [[1, -2.5], [0.1, inf]] (F32), "i": [-1, 2^40] (I64)}: bytes worked by
  /// hand from IEEE 754 and two's complement, 0.1f = 0x3DCCCCCD.
  private static let handWorked: [UInt8] = {
    let json =
      "{\"w\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[16,32]},"
      + "\"i\":{\"dtype\":\"I64\",\"shape\":[2],\"data_offsets\":[0,16]}}  "
    let data: [UInt8] = [
      0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0, 0, 1, 0, 0,
      0, 0, 0x80, 0x3F, 0, 0, 0x20, 0xC0, 0xCD, 0xCC, 0xCC, 0x3D, 0, 0, 0x80, 0x7F,
    ]
    return [UInt8(json.utf8.count), 0, 0, 0, 0, 0, 0, 0] + Array(json.utf8) + data
  }()

  private func open(_ bytes: [UInt8], in directory: TemporaryDirectory) throws -> SafetensorsFile {
    try Data(bytes).write(to: URL(fileURLWithPath: directory.file("x.safetensors")))
    return try SafetensorsFile(path: directory.file("x.safetensors"))
  }

  private func file(_ type: String, shape: String, _ data: [UInt8]) -> [UInt8] {
    let json = "{\"t\":{\"dtype\":\"\(type)\",\"shape\":\(shape),\"data_offsets\":[0,\(data.count)]}}"
    return [UInt8(json.utf8.count), 0, 0, 0, 0, 0, 0, 0] + Array(json.utf8) + data
  }

  @Test func aHandWorkedFileIsRead() throws {
    let directory = try TemporaryDirectory()
    let file = try open(Self.handWorked, in: directory)
    #expect(file.names == ["i", "w"])
    #expect(try file.tensor("w", as: Float.self) == Tensor<Float>([1, -2.5, 0.1, .infinity], shape: [2, 2]))
    #expect(
      try file.tensor("w", as: Double.self) == Tensor<Double>([1, -2.5, Double(Float(0.1)), .infinity], shape: [2, 2]))
    #expect(try file.storedTensor("i", as: Int64.self) == Tensor<Int64>([-1, 1 << 40], shape: [2]))
    #expect(try file.tensors(as: Float.self).names == ["w"])
  }

  @Test func hostileNamesAreEscapedInErrors() throws {
    let directory = try TemporaryDirectory()
    let name = "\u{1B}[2J\n\u{202E}a"
    try SafetensorsFile.write(
      [SafetensorsTensor(name, Tensor<Int64>([1], shape: [1]))], to: directory.file("x.safetensors"))
    let file = try SafetensorsFile(path: directory.file("x.safetensors"))
    for error in [
      #expect(throws: FileError.self) { try file.tensor(name, as: Float.self) },
      #expect(throws: FileError.self) { try file.storedTensor(name, as: Int32.self) },
      #expect(throws: FileError.self) { try file.tensor(name + "b", as: Float.self) },
    ] {
      let description = try #require(error?.description)
      #expect(description.contains("`\\u{1B}[2J\\n\\u{202E}a"), "\(description)")
      #expect(description.unicodeScalars.allSatisfy { $0.value >= 0x20 && $0.value != 0x202E })
    }
  }

  @Test func theSameBytesAreWritten() throws {
    let directory = try TemporaryDirectory()
    try SafetensorsFile.write(
      [
        SafetensorsTensor("w", Tensor<Float>([1, -2.5, 0.1, .infinity], shape: [2, 2])),
        SafetensorsTensor("i", Tensor<Int64>([-1, 1 << 40], shape: [2])),
      ], to: directory.file("w.safetensors"))
    let json =
      "{\"i\":{\"dtype\":\"I64\",\"shape\":[2],\"data_offsets\":[0,16]},"
      + "\"w\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[16,32]}}"
    // 120 bytes of JSON are a multiple of 8 already.
    let padded = json + String(repeating: " ", count: (8 - json.utf8.count % 8) % 8)
    let expected = [UInt8(padded.utf8.count), 0, 0, 0, 0, 0, 0, 0] + Array(padded.utf8) + Self.handWorked.suffix(32)
    #expect(directory.contents("w.safetensors").map(Array.init) == expected)
  }

  @Test func dataBeginsAtAMultipleOf8AndTensorsAtTheirOwnWidth() throws {
    let directory = try TemporaryDirectory()
    for count in 1...9 {
      let name = String(repeating: "n", count: count)
      try SafetensorsFile.write(
        [
          SafetensorsTensor("u", Tensor<UInt8>([1, 2, 3], shape: [3])),
          SafetensorsTensor(name, Tensor<Double>([0.5], shape: [1])),
          SafetensorsTensor("f", Tensor<Float>([0.25], shape: [])),
        ], metadata: ["a \"quoted\"": "line\nbreak\\"], to: directory.file("a"))
      let file = try SafetensorsFile(path: directory.file("a"))
      #expect(file.header.dataOffset % 8 == 0)
      #expect(file.header.entries.allSatisfy { $0.begin % $0.type.byteCount == 0 })
      #expect(file.header.metadata == ["a \"quoted\"": "line\nbreak\\"])
      #expect(try file.storedTensor("u", as: UInt8.self).elements == [1, 2, 3])
      #expect(try file.storedTensor("f", as: Float.self).shape == [])
    }
  }

  /// Patterns from the formats' definitions: 1, −2, the largest, the smallest subnormal, infinity.
  @Test func halvesAreWidenedExactly() throws {
    let directory = try TemporaryDirectory()
    let float16: [UInt8] = [0x00, 0x3C, 0x00, 0xC0, 0xFF, 0x7B, 0x01, 0x00, 0x00, 0x7C]
    #expect(
      try open(file("F16", shape: "[5]", float16), in: directory).tensor("t", as: Float.self).elements
        == [1, -2, 65504, 0x1p-24, .infinity])
    let bfloat16: [UInt8] = [0x80, 0x3F, 0x00, 0xC0, 0x7F, 0x7F, 0x01, 0x00, 0x80, 0x7F]
    #expect(
      try open(file("BF16", shape: "[5]", bfloat16), in: directory).tensor("t", as: Double.self).elements
        == [1, -2, 0x1.fep127, 0x1p-133, .infinity])
  }

  @Test func doublesAreRoundedToTheNearestFloat() throws {
    let directory = try TemporaryDirectory()
    try SafetensorsFile.write(
      [SafetensorsTensor("t", Tensor<Double>([0.1, 1e300], shape: [2]))], to: directory.file("d"))
    let file = try SafetensorsFile(path: directory.file("d"))
    #expect(try file.tensor("t", as: Float.self).elements == [Float(0.1), .infinity])
    #expect(try file.tensor("t", as: Double.self).elements == [0.1, 1e300])
  }

  @Test func integersAreNotReadAsNumbersOfAModel() throws {
    let directory = try TemporaryDirectory()
    let file = try open(Self.handWorked, in: directory)
    #expect(
      throws: FileError.safetensors(path: directory.file("x.safetensors"), .wrongType(name: "i", stored: "I64"))
    ) {
      try file.tensor("i", as: Float.self)
    }
    #expect(
      throws: FileError.safetensors(path: directory.file("x.safetensors"), .wrongType(name: "w", stored: "F32"))
    ) {
      try file.storedTensor("w", as: Double.self)
    }
  }

  @Test func aTensorThatIsNotThere() throws {
    let directory = try TemporaryDirectory()
    let file = try open(Self.handWorked, in: directory)
    #expect(throws: FileError.safetensors(path: directory.file("x.safetensors"), .missingTensor("v"))) {
      try file.tensor("v", as: Float.self)
    }
  }

  @Test func aTruncatedFileIsRefusedAtEveryLength() throws {
    let directory = try TemporaryDirectory()
    for length in 0..<Self.handWorked.count {
      let error = #expect(throws: FileError.self) {
        try open(Array(Self.handWorked.prefix(length)), in: directory)
      }
      #expect(error?.kind == .inputData)
    }
  }

  @Test func aFileThatIsNotThere() {
    let error = #expect(throws: FileError.self) { try SafetensorsFile(path: "/nowhere/x") }
    #expect(error?.kind == .inputData)
    #expect(error?.description.contains("/nowhere/x") == true)
  }

  @Test func aDirectoryOrAPipeIsNotAFile() throws {
    let directory = try TemporaryDirectory()
    #expect(mkfifo(directory.file("pipe"), 0o600) == 0)
    for path in [directory.path, directory.file("pipe")] {
      #expect(throws: FileError.self) { try SafetensorsFile(path: path) }
    }
  }

  @Test func namesGivenTwiceOrReservedAreNotWritten() throws {
    let directory = try TemporaryDirectory()
    let tensor = Tensor<Float>([1], shape: [1])
    let path = directory.file("a")
    #expect(throws: FileError.safetensors(path: path, .duplicateName("t"))) {
      try SafetensorsFile.write([SafetensorsTensor("t", tensor), SafetensorsTensor("t", tensor)], to: path)
    }
    #expect(throws: FileError.safetensors(path: path, .reservedName("__metadata__"))) {
      try SafetensorsFile.write([SafetensorsTensor("__metadata__", tensor)], to: path)
    }
    #expect(try directory.names.isEmpty)
  }

  @Test func aTensorThatWritesAnotherSizeIsNotPublished() throws {
    let directory = try TemporaryDirectory()
    let short = SafetensorsTensor(name: "t", type: .float32, shape: [2]) { (writer) throws(FileError) in
      try writer.write(Data([1, 2, 3, 4]))
    }
    #expect(throws: FileError.safetensors(path: directory.file("a"), .wroteOtherSize(name: "t"))) {
      try SafetensorsFile.write([short], to: directory.file("a"))
    }
    #expect(try directory.names.isEmpty)
  }
}

@Suite struct NamedTensorsTests {
  private func tensor(_ value: Float) -> Tensor<Float> { Tensor([value], shape: [1]) }

  @Test func orderIsThatOfFirstSetting() {
    var tensors = NamedTensors([("b", tensor(1)), ("a", tensor(2)), ("b", tensor(3))])
    #expect(tensors.names == ["b", "a"])
    #expect(tensors["b"] == tensor(3))
    #expect(tensors[1].tensor == tensor(2))
    #expect(tensors["c"] == nil)
    tensors["b"] = nil
    tensors["c"] = tensor(4)
    tensors["missing"] = nil
    #expect(tensors.map(\.name) == ["a", "c"])
    #expect(tensors["c"] == tensor(4))
    #expect(
      tensors.descriptions == [TensorDescription(name: "a", shape: [1]), TensorDescription(name: "c", shape: [1])])
  }

  @Test func orderIsPartOfEquality() {
    let one = NamedTensors([("a", tensor(1)), ("b", tensor(2))])
    let other = NamedTensors([("b", tensor(2)), ("a", tensor(1))])
    #expect(one != other)
  }
}

@Suite struct PlaintextLayoutTests {
  private static let columns = HomogeneousColumns(features: 2, padding: 1)

  /// A network 2 → 2 → 1 whose first layer reads [x; 1; 0].
  private static let specifications = [
    ParameterSpecification(
      name: "layers.0.weight", shape: [2, 4], rows: SpaceID("hidden.0"), columns: SpaceID("input"),
      homogeneous: columns, biasName: "layers.0.bias"),
    ParameterSpecification(
      name: "layers.1.weight", shape: [1, 2], rows: SpaceID("output"), columns: SpaceID("hidden.0")),
    ParameterSpecification(name: "layers.1.bias", shape: [1], rows: SpaceID("output"), columns: nil),
  ]

  private static let trained = NamedTensors<Double>([
    ("layers.0.weight", Tensor([1, 2, 10, 0, 3, 4, 20, 0], shape: [2, 4])),
    ("layers.1.weight", Tensor([5, 6], shape: [1, 2])), ("layers.1.bias", Tensor([7], shape: [1])),
  ])

  private static let plaintext = NamedTensors<Double>([
    ("layers.0.weight", Tensor([1, 2, 3, 4], shape: [2, 2])), ("layers.0.bias", Tensor([10, 20], shape: [2])),
    ("layers.1.weight", Tensor([5, 6], shape: [1, 2])), ("layers.1.bias", Tensor([7], shape: [1])),
  ])

  @Test func theFirstLayerIsSplitAndJoined() throws {
    #expect(
      try PlaintextLayout.plaintextTensors(from: Self.trained, specifications: Self.specifications) == Self.plaintext)
    #expect(
      try PlaintextLayout.trainedTensors(from: Self.plaintext, specifications: Self.specifications) == Self.trained)
  }

  @Test func roundingErrorInThePaddingIsDropped() throws {
    var trained = Self.trained
    trained["layers.0.weight"] = Tensor([1, 2, 10, 1e-17, 3, 4, 20, -1e-17], shape: [2, 4])
    #expect(try PlaintextLayout.plaintextTensors(from: trained, specifications: Self.specifications) == Self.plaintext)
  }

  @Test func anotherShapeIsRefused() {
    var trained = Self.trained
    trained["layers.0.weight"] = Tensor(zeros: [2, 3])
    #expect(
      throws: FileError.layout(.shape(name: "layers.0.weight", expected: [2, 4], found: [2, 3]))
    ) {
      try PlaintextLayout.plaintextTensors(from: trained, specifications: Self.specifications)
    }
    var plaintext = Self.plaintext
    plaintext["layers.0.bias"] = Tensor(zeros: [3])
    #expect(throws: FileError.layout(.shape(name: "layers.0.bias", expected: [2], found: [3]))) {
      try PlaintextLayout.trainedTensors(from: plaintext, specifications: Self.specifications)
    }
  }

  @Test func aMissingTensorIsNamed() {
    var plaintext = Self.plaintext
    plaintext["layers.0.bias"] = nil
    #expect(throws: FileError.layout(.missingTensor("layers.0.bias"))) {
      try PlaintextLayout.trainedTensors(from: plaintext, specifications: Self.specifications)
    }
  }

  @Test func aTensorTooManyIsNamed() {
    var trained = Self.trained
    trained["layers.9.weight"] = Tensor(zeros: [1])
    #expect(throws: FileError.layout(.unexpectedTensor("layers.9.weight"))) {
      try PlaintextLayout.plaintextTensors(from: trained, specifications: Self.specifications)
    }
  }

  @Test(arguments: [([2, 4], nil), ([2, 3], "bias"), ([8], "bias"), ([], "bias")] as [([Int], String?)])
  func aHomogeneousSpecificationThatIsNone(shape: [Int], biasName: String?) {
    let specification = ParameterSpecification(
      name: "w", shape: shape, rows: SpaceID("a"), columns: SpaceID("b"), homogeneous: Self.columns, biasName: biasName)
    #expect(throws: FileError.layout(.malformedSpecification("w"))) {
      try PlaintextLayout.trainedTensors(from: Self.plaintext, specifications: [specification])
    }
    #expect(throws: FileError.layout(.malformedSpecification("w"))) {
      try PlaintextLayout.plaintextTensors(
        from: NamedTensors([("w", Tensor<Double>(zeros: shape))]), specifications: [specification])
    }
  }
}
