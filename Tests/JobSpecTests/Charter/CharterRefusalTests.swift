import Foundations
import Testing

@testable import JobSpec

/// What a charter says wrong about its parties, its data and its model.
@Suite struct CharterRefusalTests {
  private func refusal(_ section: String) -> JobSpecError? {
    CharterFixture.refusal(CharterFixture.charter(CharterFixture.smallest, with: section))
  }

  /// Sections go to the end, so that an error in one is in the last line.
  private let last = CharterFixture.smallest.split(separator: "\n").count

  @Test func unknownKey() {
    let error = refusal("federation: {rounds: 3, locla: {epochs: 1}}")
    #expect(
      error?.description.hasPrefix(
        "charter.yaml:8:25: unknown key `federation.locla`; did you mean `federation.local`?") == true)
    #expect(error?.kind == .usage)
    #expect(refusal("train: {epochs: 3}")?.description.contains("did you mean `federation.local.epochs`?") == true)
    #expect(refusal("masking: {strength: none}")?.description.contains("did you mean `federation.masking`?") == true)
    #expect(
      refusal("sites: [{name: a, key: k}, {nmae: b, key: l}]")?.description.hasPrefix(
        "charter.yaml:8:29: unknown key `sites[].nmae`; did you mean `sites[].name`?") == true)
    guard case .unknownKey? = refusal("\"sites[]\": {name: a, key: k}")?.reason else {
      Issue.record("an entry of a list is no section")
      return
    }
    guard case .unknownKey? = CharterFixture.refusal(CharterFixture.smallest, ["sites[0].name=x"])?.reason else {
      Issue.record("an entry of a list cannot be overridden")
      return
    }
  }

  @Test func anchorsTagsAndDuplicateKeysAreRefusedAsInAJob() {
    #expect(refusal("sites: [&a {name: a, key: k}, *a]")?.reason == .anchorOrAlias)
    #expect(refusal("sites: !!seq [{name: a, key: k}, {name: b, key: l}]")?.reason == .explicitTag)
    #expect(refusal("sites: [{name: a, name: b, key: k}]")?.reason == .duplicateKey(["name"]))
  }

  @Test func tooFewSites() {
    for text in ["sites: []", "sites: [{name: a, key: k}]"] {
      #expect(
        refusal(text)?.reason
          == .outOfRange(key: "sites", range: "a list of 2 to 1000 mappings, each with name and key"))
      #expect(refusal(text)?.location?.line == last)
    }
    refusal("sites: {name: a, key: k}").expectWrongType(
      "a list of 2 to 1000 mappings, each with name and key", "a mapping")
    refusal("sites: [a, b]").expectWrongType("a mapping of keys", "text")
    let none = CharterFixture.smallest.split(separator: "\n").filter { !$0.hasPrefix("sites") }.joined(separator: "\n")
    guard case .missingKey("sites", _)? = CharterFixture.refusal(none)?.reason else {
      Issue.record("accepted")
      return
    }
  }

  @Test func aSiteWithoutAKey() {
    guard case .missingKey("sites[1].key", let meaning)? = refusal("sites: [{name: a, key: k}, {name: b}]")?.reason
    else {
      Issue.record("accepted")
      return
    }
    #expect(meaning.hasPrefix("entry 2 of `sites` has none"))
  }

  @Test func aNameTwice() {
    refusal("sites: [{name: a, key: k}, {name: b, key: l}, {name: a, key: m}]")
      .expectContradiction("the site name `a` is given twice", line: last)
  }

  @Test func aKeyTwice() throws {
    refusal("sites: [{name: a, key: k}, {name: b, key: ./k}]")
      .expectContradiction("`a` and `b` have the same key file", line: last)
    refusal("sites: [{name: a, key: k}, {name: b, key: keys/aggregator.pub}]")
      .expectContradiction("the aggregator and `b` have the same key file", line: last)
    let charter = try CharterFixture.parse(CharterFixture.smallest)
    try charter.checkKeys(sites: ["1", "2", "3"], aggregator: "0")
    let same = #expect(throws: JobSpecError.self) { try charter.checkKeys(sites: ["1", "2", "1"], aggregator: "0") }
    same.expectContradiction("`a` and `c` have the same public key (/charters/keys/c.pub)", line: nil)
    let own = #expect(throws: JobSpecError.self) { try charter.checkKeys(sites: ["1", "0", "2"], aggregator: "0") }
    own.expectContradiction("the aggregator and `b` have the same public key", line: nil)
  }

  @Test func aMissingKeyFile() throws {
    let fixture = try CharterFixture()
    let error = #expect(throws: JobSpecError.self) {
      try fixture.load(CharterFixture.smallest.replacing("keys/c.pub", with: "keys/d.pub"))
    }
    #expect(error?.reason == .missingFile(key: "sites[2].key", path: fixture.directory + "/keys/d.pub"))
    #expect(error?.location?.line == 3)
  }

  @Test(arguments: ["name", "aggregator", "task", "model", "optimizer", "federation", "data"])
  func aMissingRequiredKeyIsNamed(key: String) {
    let text = CharterFixture.smallest.split(separator: "\n").filter { !$0.hasPrefix(key + ":") }.joined(
      separator: "\n")
    let expected =
      [
        "aggregator": "aggregator.address", "optimizer": "optimizer.lr", "federation": "federation.local",
        "data": "data.columns",
      ][key]
      ?? key
    guard case .missingKey(expected, _)? = CharterFixture.refusal(text)?.reason else {
      Issue.record("\(String(describing: CharterFixture.refusal(text)))")
      return
    }
  }

  @Test func anEmptyCharterLacksItsName() {
    for text in ["", "# only a comment\n", "{}"] {
      guard case .missingKey("name", _)? = CharterFixture.refusal(text)?.reason else {
        Issue.record("\(text)")
        continue
      }
    }
    CharterFixture.refusal("- a").expectWrongType("a mapping of keys", "a list")
    #expect(CharterFixture.refusal("- a")?.description.contains("`the charter`") == true)
  }

  @Test func classesMissingForClassification() {
    guard case .missingKey("data.classes", _)? = refusal("data: {columns: [x]}")?.reason else {
      Issue.record("accepted")
      return
    }
  }

  @Test func survivalWithAClassList() {
    let text = CharterFixture.charter(CharterFixture.smallest, with: "task: survival")
    CharterFixture.refusal(text).expectContradiction("`task: survival` has none", line: 4)
  }

  @Test func aClassTwiceAndAColumnTwice() {
    refusal("data: {columns: [x], classes: [ill, healthy, ill]}").expectContradiction("holds \"ill\" twice", line: last)
    refusal("data: {columns: [x, y, x], classes: [a, b]}").expectContradiction("holds the name \"x\" twice", line: last)
    refusal("data: {columns: [x], columns_file: f, classes: [a, b]}").expectContradiction("keep one", line: last)
  }

  @Test(arguments: [
    ("x\n\ny\n", "columns.txt:2: a column's name is"), ("x\ny\u{1}\n", "columns.txt:2: a column's name is"),
    ("", "has 0 lines"), ("x\ny\nx\n", "columns.txt holds the name \"x\" twice"),
  ])
  func aFileOfColumnsThatCannotBeUsed(content: String, words: String) throws {
    let fixture = try CharterFixture()
    try fixture.write("columns.txt", content)
    let text = CharterFixture.charter(
      CharterFixture.smallest, with: "data: {columns_file: columns.txt, classes: [x, y]}")
    let error = #expect(throws: JobSpecError.self) { try fixture.load(text) }
    error.expectContradiction(words, line: last)
  }

  @Test func columnsAndStandardisationOfTokens() {
    let text = CharterFixture.smallestTransformer
    CharterFixture.refusal(text, ["data.columns=[x]"]).expectContradiction("reads tokens", line: nil)
    CharterFixture.refusal(text, ["data.standardize=pooled"]).expectContradiction("tokens have no mean", line: nil)
  }

  @Test func classesOfAPretrainedModelThatAreNotTheLabelMaps() {
    CharterFixture.refusal(CharterFixture.smallestTransformer, ["model.head.classes=3"])
      .expectContradiction("must be how many labels `data.classes` has (2)", line: nil)
    let tokens = CharterFixture.charter(
      CharterFixture.smallestTransformer.replacing("data: {classes: [healthy, ill]}", with: ""),
      with: "task: token-classification")
    guard case .missingKey("model.head.classes", _)? = CharterFixture.refusal(tokens)?.reason else {
      Issue.record("sites would count their own classes")
      return
    }
    #expect(CharterFixture.refusal(tokens, ["model.head.classes=3"]) == nil)
  }

  @Test func aPretrainedModelWhoseVisibilityIsNotStated() {
    let text = CharterFixture.charter(
      CharterFixture.smallestTransformer, with: "federation: {rounds: 3, local: {epochs: 1}}")
    guard case .missingKey("federation.masking.base_model", _)? = CharterFixture.refusal(text)?.reason else {
      Issue.record("accepted")
      return
    }
    #expect(CharterFixture.refusal(text, ["federation.masking.strength=none"]) == nil)
    refusal("federation: {rounds: 3, local: {epochs: 1}, masking: {base_model: public}}")
      .expectContradiction("needs `model.huggingface`", line: last)
  }

  @Test func survivalKeepsTheRulesOfAJob() {
    CharterFixture.refusal(CharterFixture.example, ["train.micro_batch=4"])
      .expectContradiction("takes the loss over whole batches", line: nil)
    CharterFixture.refusal(CharterFixture.example, ["optimizer.name=adamw"])
      .expectContradiction("use sgd or muon", line: nil)
  }
}
