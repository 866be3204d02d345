import Testing

@testable import Files

/// One test a rejection, named after it.
@Suite struct SafetensorsHeaderTests {
  private static let entry = "{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}"

  private func bytes(_ json: some Collection<UInt8>) -> [UInt8] {
    (0..<8).map { UInt8(truncatingIfNeeded: json.count >> (8 * $0)) } + Array(json)
  }

  /// - Parameter dataLength: bytes after the header.
  private func parse(_ json: String, dataLength: Int = 8) throws(SafetensorsProblem) -> SafetensorsHeader {
    let file = bytes(json.utf8)
    return try SafetensorsHeader.parse(bytes: file, fileLength: file.count + dataLength)
  }

  private func problem(_ json: String, dataLength: Int = 8) -> SafetensorsProblem? {
    do throws(SafetensorsProblem) {
      _ = try parse(json, dataLength: dataLength)
      return nil
    } catch {
      return error
    }
  }

  private func problem(bytes: [UInt8], fileLength: Int) -> SafetensorsProblem? {
    do throws(SafetensorsProblem) {
      _ = try SafetensorsHeader.parse(bytes: bytes, fileLength: fileLength)
      return nil
    } catch {
      return error
    }
  }

  private func isJSON(_ problem: SafetensorsProblem?) -> Bool {
    if case .json? = problem { true } else { false }
  }

  @Test func aHeaderIsRead() throws {
    let header = try parse(
      " {\n\"b\" : {\"dtype\":\"F32\", \"shape\":[2],\"data_offsets\":[8,16]},\"a\":\(Self.entry),"
        .dropFirst() + "\"__metadata__\":{\"k\":\"v\\u00e9\\ud83d\\ude00\\n\"}}   ", dataLength: 16)
    #expect(header.entries.map(\.name) == ["a", "b"])
    #expect(header.entries[1] == SafetensorsEntry(name: "b", type: .float32, shape: [2], begin: 8, end: 16))
    #expect(header.metadata == ["k": "vé😀\n"])
  }

  private static let hostileName = "\\u001b[2J\\n\\u202ea\\u0000"

  /// What a name from a file may not do to the terminal that shows an error: clear it, begin a line, turn the text round.
  @Test(arguments: [
    "{\"NAME\":\(entry),\"NAME\":\(entry)}",
    "{\"__metadata__\":{\"NAME\":\"a\",\"NAME\":\"b\"}}",
    "{\"NAME\":{\"dtype\":\"NAME\",\"shape\":[2],\"data_offsets\":[0,8]}}",
    "{\"NAME\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,4]}}",
    "{\"NAME\":{\"dtype\":\"F32\",\"shape\":[9223372036854775807,2],\"data_offsets\":[0,8]}}",
    "{\"NAME\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,8]}}",
    "{\"NAME\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,0]}}",
    "{\"a\":\(entry),\"NAME\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}",
    "{\"NAME\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}",
  ])
  func hostileNamesAreEscapedInErrors(json: String) throws {
    let description = try #require(problem(json.replacing("NAME", with: Self.hostileName))?.description)
    #expect(description.contains("\\u{1B}[2J\\n\\u{202E}a\\u{0}"), "\(description)")
    for scalar in description.unicodeScalars {
      #expect(scalar.value >= 0x20 && scalar.value != 0x202E, "\(description)")
    }
  }

  @Test func scalarsAndEmptyTensorsAreAllowed() throws {
    let header = try parse(
      "{\"s\":{\"dtype\":\"F64\",\"shape\":[],\"data_offsets\":[0,8]},"
        + "\"e\":{\"dtype\":\"U8\",\"shape\":[0,3],\"data_offsets\":[8,8]}}")
    #expect(header.entries.map(\.shape) == [[], [0, 3]])
    #expect(try parse("{}", dataLength: 0).entries.isEmpty)
  }

  @Test func aFileShorterThanTheLength() {
    #expect(problem(bytes: [1, 0, 0], fileLength: 3) == .noHeaderLength)
    #expect(problem(bytes: [], fileLength: 0) == .noHeaderLength)
    #expect(problem(bytes: bytes("{}".utf8), fileLength: -1) == .noHeaderLength)
  }

  @Test func aHeaderAboveTheLimit() {
    let length: [UInt8] = [1, 0, 0, 1, 0, 0, 0, 0]
    #expect(problem(bytes: length, fileLength: 1 << 40) == .headerTooLarge(limit: 16 << 20))
    #expect(problem(bytes: [UInt8](repeating: 255, count: 8), fileLength: .max) == .headerTooLarge(limit: 16 << 20))
  }

  @Test func aHeaderCutOff() {
    #expect(problem(bytes: [9, 0, 0, 0, 0, 0, 0, 0, 0x7B], fileLength: 9) == .headerTruncated)
    #expect(problem(bytes: [9, 0, 0, 0, 0, 0, 0, 0, 0x7B], fileLength: 17) == .headerTruncated)
  }

  @Test func aHeaderThatIsNotUTF8() {
    let file = bytes([0x7B, 0x22, 0xFF, 0x22, 0x7D])
    #expect(problem(bytes: file, fileLength: file.count) == .notUTF8)
  }

  @Test(arguments: [
    "", " {}", "[]", "{", "{}x", "{}\n", "{} {}", "{\"a\"}", "{\"a\":}", "{\"a\":1}", "{\"a\":null}", "{\"a\":[]}",
    "{\"a\":{}}", "{\"a\":{\"dtype\":\"F32\"}}", "{,}", "{\"a\":{\"dtype\":\"F32\",}}", "{\"__metadata__\":{\"k\":1}}",
    "{\"__metadata__\":null}", "{\"__metadata__\":[]}", "{'a':1}", "{\"a",
    "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8],\"more\":1}}",
    "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0]}}",
    "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8,8]}}",
    "{\"a\":{\"dtype\":\"F32\",\"shape\":[-2],\"data_offsets\":[0,8]}}",
    "{\"a\":{\"dtype\":\"F32\",\"shape\":[2.0],\"data_offsets\":[0,8]}}",
    "{\"a\":{\"dtype\":\"F32\",\"shape\":[2e0],\"data_offsets\":[0,8]}}",
    "{\"a\":{\"dtype\":\"F32\",\"shape\":[02],\"data_offsets\":[0,8]}}",
    "{\"a\":{\"dtype\":\"F32\",\"shape\":[2,],\"data_offsets\":[0,8]}}",
    "{\"a\":{\"dtype\":\"F32\",\"shape\":[\"2\"],\"data_offsets\":[0,8]}}",
    "{\"a\":{\"dtype\":\"F32\",\"shape\":[99999999999999999999],\"data_offsets\":[0,8]}}",
    "{\"\\x\":1}", "{\"\\u12g4\":1}", "{\"\\ud800\":1}", "{\"\\ud800\\u0041\":1}", "{\"\\udc00\":1}", "{\"\\u12",
    "{\"\\", "{\"a\u{1}\":1}",
  ])
  func headersThatAreNotTheJSONTheyShouldBe(json: String) {
    #expect(isJSON(problem(json)), "\(json): \(String(describing: problem(json)))")
  }

  @Test func aNameTwice() {
    #expect(problem("{\"a\":\(Self.entry),\"a\":\(Self.entry)}") == .duplicateName("a"))
    #expect(problem("{\"a\":\(Self.entry),\"\\u0061\":\(Self.entry)}") == .duplicateName("a"))
    #expect(problem("{\"__metadata__\":{\"k\":\"1\",\"k\":\"1\"}}") == .duplicateName("k"))
    #expect(problem("{\"__metadata__\":{},\"__metadata__\":{}}") == .duplicateName("__metadata__"))
    #expect(
      problem("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"shape\":[2],\"data_offsets\":[0,8]}}")
        == .duplicateName("shape"))
  }

  @Test func aTypeThatIsNotSupported() {
    #expect(
      problem("{\"a\":{\"dtype\":\"F8_E4M3\",\"shape\":[8],\"data_offsets\":[0,8]}}")
        == .unsupportedType(name: "a", type: "F8_E4M3"))
  }

  @Test func tooManyDimensions() {
    let shape = Array(repeating: "1", count: 33).joined(separator: ",")
    #expect(
      problem("{\"a\":{\"dtype\":\"F64\",\"shape\":[\(shape)],\"data_offsets\":[0,8]}}")
        == .tooManyDimensions(name: "a", limit: 32))
  }

  @Test(arguments: [
    "4611686018427387904,4", "9223372036854775807", "0,4611686018427387904,4611686018427387904",
  ])
  func aShapeThatOverflows(shape: String) {
    #expect(
      problem("{\"a\":{\"dtype\":\"F64\",\"shape\":[\(shape)],\"data_offsets\":[0,8]}}") == .impossibleShape(name: "a"))
  }

  @Test func bytesThatDoNotMatchTheShape() {
    #expect(
      problem("{\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,8]}}") == .sizeMismatch(name: "a"))
    #expect(
      problem("{\"a\":{\"dtype\":\"BF16\",\"shape\":[2],\"data_offsets\":[0,8]}}") == .sizeMismatch(name: "a"))
  }

  @Test func offsetsReversed() {
    #expect(
      problem("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,0]}}") == .offsetsReversed(name: "a"))
  }

  @Test func tensorsThatOverlap() {
    let second = "{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,12]}"
    #expect(problem("{\"a\":\(Self.entry),\"b\":\(second)}", dataLength: 12) == .overlap(name: "b"))
    #expect(problem("{\"a\":\(Self.entry),\"b\":\(Self.entry)}") == .overlap(name: "b"))
  }

  @Test func holes() {
    let second = "{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[9,17]}"
    #expect(problem("{\"a\":\(Self.entry),\"b\":\(second)}", dataLength: 17) == .hole(name: "b"))
    #expect(problem("{\"b\":\(second)}", dataLength: 17) == .hole(name: "b"))
  }

  @Test func aFileOfAnotherLength() throws {
    let length = bytes("{\"a\":\(Self.entry)}".utf8).count
    #expect(
      problem("{\"a\":\(Self.entry)}", dataLength: 7) == .fileLength(expected: length + 8, found: length + 7))
    #expect(
      problem("{\"a\":\(Self.entry)}", dataLength: 9) == .fileLength(expected: length + 8, found: length + 9))
  }

  @Test func offsetsNearTheLargestInteger() {
    let far = "{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[9223372036854775807,9223372036854775807]}"
    #expect(problem("{\"a\":\(far)}") == .hole(name: "a"))
    let whole = "{\"dtype\":\"U8\",\"shape\":[9223372036854775807],\"data_offsets\":[0,9223372036854775807]}"
    #expect(
      problem("{\"a\":\(whole)}").map { if case .fileLength(.max, _) = $0 { true } else { false } } == true)
  }

  @Test func errorsCutNamesFromTheFile() {
    let name = String(repeating: "x", count: 500) + "\\u0007"
    guard
      case .sizeMismatch(let printed)? = problem(
        "{\"\(name)\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[0,8]}}")
    else {
      Issue.record("accepted")
      return
    }
    #expect(printed == String(repeating: "x", count: 79) + "…")
  }

  /// A linear congruential generator (Knuth's MMIX constants) makes the same damage on every machine.
  @Test func damagedHeadersNeverStopTheProcess() {
    var state: UInt64 = 11
    func next(below limit: Int) -> Int {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int((state >> 33) % UInt64(limit))
    }
    let whole = bytes("{\"a\":\(Self.entry),\"__metadata__\":{\"k\":\"\\u0041\\ud83d\\ude00\"}}".utf8)
    let indicators = Array("{}[]:,\"\\u0189-. ".utf8)
    var refused = 0
    for _ in 0..<5000 {
      var damaged = whole
      for _ in 0...next(below: 3) {
        let place = next(below: damaged.count)
        switch next(below: 3) {
        case 0: damaged[place] = UInt8(next(below: 256))
        case 1: damaged[place] = indicators[next(below: indicators.count)]
        default: damaged.removeSubrange(place..<min(damaged.count, place + 1 + next(below: 5)))
        }
        if damaged.isEmpty { damaged = [0] }
      }
      if problem(bytes: damaged, fileLength: whole.count + 8) != nil { refused += 1 }
    }
    // Some damage only renames the tensor or changes the metadata.
    #expect((3000..<5000).contains(refused))
  }
}
