import Testing

@testable import JobSpec

/// Bytes that are not a job: each is refused with one error, and none of them stops the process.
@Suite struct HostileTextTests {
  private func refusal(_ bytes: [UInt8]) -> JobSpecError? {
    do throws(JobSpecError) {
      _ = try JobSpecification.parse(bytes: bytes, source: "job.yaml")
      return nil
    } catch {
      return error
    }
  }

  private func refusal(_ text: String) -> JobSpecError? { refusal(Array(text.utf8)) }

  @Test func emptyText() {
    for text in ["", "# only a comment\n", "---\n...\n", "{}"] {
      let reason = refusal(text)?.reason
      #expect(reason == .empty || text.hasPrefix("---"), "\(text)")
      #expect(reason != nil)
    }
  }

  @Test func textAboveTheSizeLimit() {
    #expect(refusal([UInt8](repeating: 0x20, count: (1 << 20) + 1))?.reason == .tooLarge(limit: 1 << 20))
  }

  @Test func bytesThatAreNotUTF8() {
    #expect(refusal([0x6E, 0xFF, 0xFE])?.reason == .notUTF8)
  }

  @Test func controlCharactersAreLocated() {
    let error = refusal("name: x\ntask: a\u{0}b")
    #expect(error?.description.hasPrefix("job.yaml:2:8: the character U+0") == true)
  }

  @Test func aByteOrderMarkIsPassedOver() throws {
    let specification = try JobSpecification.parse(bytes: [0xEF, 0xBB, 0xBF] + Array("name: x".utf8))
    #expect(specification.keys == ["name"])
  }

  @Test func invalidYAMLIsLocated() {
    let error = refusal("name: x\ntrain: {epochs: 3\ntask: [")
    guard case .syntax? = error?.reason else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(error?.location?.line != nil)
  }

  @Test func duplicateKeys() {
    let error = refusal("name: x\ntask: regression\nname: y")
    #expect(error?.reason == .duplicateKey(["name"]))
    #expect(error?.location?.line != nil)
    #expect(refusal("name: x\n\"name\": y")?.reason == .duplicateKey(["name"]))
  }

  @Test func twoDocuments() {
    guard case .syntax? = refusal("name: x\n---\nname: y")?.reason else {
      Issue.record("accepted")
      return
    }
  }

  @Test func anchorsAndAliases() {
    #expect(refusal("name: &a x")?.reason == .anchorOrAlias)
    #expect(refusal("name: &a x\ntask: *a")?.location?.line != nil)
    #expect(refusal("data: &a {file: x}")?.reason == .anchorOrAlias)
    #expect(refusal("&a name: x")?.reason == .anchorOrAlias)
  }

  /// Each level holds the one before twice, as a key, so that comparing keys would take 2^30 steps.
  @Test(.timeLimit(.minutes(10))) func anAliasBombIsRefusedBeforeItIsExpanded() {
    var text = "a0: &a0 [x]\n"
    for level in 1...30 { text += "a\(level): &a\(level) {? [*a\(level - 1), *a\(level - 1)] : 1}\n" }
    #expect(refusal(text)?.reason == .anchorOrAlias)
  }

  @Test func anAliasBombWithinTheAllowanceIsRefusedToo() {
    var text = "a0: &a0 [x]\n"
    for level in 1...4 { text += "a\(level): &a\(level) {? [*a\(level - 1), *a\(level - 1)] : 1}\n" }
    #expect(refusal(text)?.reason == .anchorOrAlias)
  }

  @Test func explicitTags() {
    #expect(refusal("name: !!str x")?.reason == .explicitTag)
    #expect(refusal("name: !secret x")?.reason == .explicitTag)
    #expect(refusal("train: !!map {epochs: 3}")?.reason == .explicitTag)
    #expect(refusal("train: {epochs: !!int 3}")?.reason == .explicitTag)
  }

  @Test func keysThatAreNotText() {
    #expect(refusal("? [a, b]\n: c")?.reason == .keyIsNotText)
    #expect(refusal("? {a: b}\n: c")?.reason == .keyIsNotText)
  }

  @Test func rootsThatAreNotMappings() {
    for text in ["- a", "text", "[1, 2]", "3"] {
      guard case .wrongType("the job", _, _)? = refusal(text)?.reason else {
        Issue.record("\(text)")
        continue
      }
    }
  }

  @Test(arguments: ["[", "{a: ", "{? ", "- ", "? "])
  func deepNesting(opening: String) {
    #expect(refusal(String(repeating: opening, count: 100_000)) != nil)
  }

  @Test func theDeepestNestingThatTheReaderAllows() {
    for (open, close) in [("[", "]"), ("{? ", "}")] {
      for depth in [900, 990, 999, 1000, 1001] {
        let text = "name: " + String(repeating: open, count: depth) + String(repeating: close, count: depth)
        #expect(refusal(text) != nil)
      }
    }
  }

  @Test(.timeLimit(.minutes(10))) func manyKeysTakeLinearTime() {
    let text = (0..<60_000).map { "k\($0): 1" }.joined(separator: "\n")
    guard case .unknownKey? = refusal(text)?.reason else {
      Issue.record("accepted")
      return
    }
  }

  /// A linear congruential generator (Knuth's MMIX constants) makes the same damage on every machine.
  @Test func damagedJobsNeverStopTheProcess() {
    var state: UInt64 = 7
    func next(below limit: Int) -> Int {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int((state >> 33) % UInt64(limit))
    }
    let indicators = Array("{}[],:#&*!|>'\"%@`-? \n\t\\~<=0e.\u{85}".utf8)
    var refused = 0
    for _ in 0..<3000 {
      var bytes = Array(JobFixture.example.utf8)
      for _ in 0...next(below: 4) {
        let place = next(below: bytes.count)
        switch next(below: 4) {
        case 0: bytes[place] = UInt8(next(below: 256))
        case 1: bytes[place] = indicators[next(below: indicators.count)]
        case 2: bytes.insert(indicators[next(below: indicators.count)], at: place)
        default: bytes.removeSubrange(place..<min(bytes.count, place + 1 + next(below: 12)))
        }
      }
      if refusal(bytes) != nil { refused += 1 }
    }
    // Most damage breaks the text; some falls into a comment or makes another valid value.
    #expect((1000..<3000).contains(refused))
  }
}
