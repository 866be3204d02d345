import Testing

@testable import Foundations

@Suite struct JSONValueTests {
  private enum Problem: JSONFailure, Equatable {
    case json(String, offset: Int)
  }

  private func parse(_ text: String) throws(Problem) -> JSONValue {
    try JSONValue.parse(Array(text.utf8), throwing: Problem.self)
  }

  @Test func everyKindOfValue() throws {
    let text = " { \"a\" : [ null , true , false , -1.5e-12 , \"x\\n\\u00e9\" ] , \"b\" : { } , \"c\":[],\"d\":0 }\n"
    #expect(
      try parse(text)
        == .object([
          "a": .array([.null, true, false, .number("-1.5e-12"), "x\né"]), "b": .object([:]), "c": .array([]), "d": 0,
        ]))
  }

  @Test func numbersKeepTheirText() throws {
    for text in ["0", "-0", "10000.0", "1e-12", "1E+5", "123456789012345678901234567890", "0.020"] {
      #expect(try parse(text) == .number(text))
      #expect(try parse(text).text() == text)
    }
  }

  @Test func theTextParsesToTheSameValue() throws {
    let value = JSONValue.object([
      "quoted \" \\ \u{1}": .array([.object(["k": .array([])]), "é😀"]), "n": .number("1e-5"), "t": true, "z": .null,
    ])
    #expect(try parse(value.text()) == value)
    #expect(value.text().hasPrefix("{\n  \"n\": 1e-5,\n  \"quoted "))
  }

  @Test(arguments: [
    "", " ", "{", "[", "[1", "[1,]", "{\"a\":}", "{\"a\" 1}", "{a:1}", "nul", "truth", "+1", "01", "1.", ".5", "1e",
    "1e+", "-",
    "NaN", "Infinity", "\"", "\"\\x\"", "{} {}", "1 2", "[1 2]", "'a'", "{\"a\":1,}", "// c",
  ])
  func textThatIsNotJSON(text: String) {
    #expect(throws: Problem.self) { try parse(text) }
  }

  @Test func aKeyGivenTwice() {
    let error = #expect(throws: Problem.self) { try parse("{\"a\": 1, \"\\u0061\": 2}") }
    #expect(error == .json("`a` is given twice", offset: 20))
  }

  @Test func deepNesting() {
    for opening in ["[", "{\"a\":"] {
      #expect(throws: Problem.self) { try parse(String(repeating: opening, count: 1_000_000)) }
    }
    let allowed = JSONValue.maxNesting
    #expect(throws: Never.self) {
      try parse(String(repeating: "[", count: allowed) + String(repeating: "]", count: allowed))
    }
    #expect(throws: Problem.self) {
      try parse(String(repeating: "[", count: allowed + 1) + String(repeating: "]", count: allowed + 1))
    }
  }

  @Test func bytesThatAreNotUTF8() {
    #expect(throws: Problem.json("not UTF-8 text", offset: 0)) {
      try JSONValue.parse([0x22, 0xFF, 0x22], throwing: Problem.self)
    }
  }
}
