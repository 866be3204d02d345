import Models
import Testing

@testable import JobSpec

@Suite struct SiteSpecificationTests {
  static let smallest = """
    name: b
    data: {file: rows.h5, features: x, labels: y}
    """

  static let survival = """
    name: south
    data:
      file: rows.h5
      features: x
      columns: columns
      time: days
      event: event
      split: {by: test, modulo: 2, equals: 1}
    threads: 2
    local_baseline: true
    """

  /// A site without processors.
  static let provided = """
    name: b
    data: {file: rows.h5, features: x, labels: y}
    trainer: tcp://10.0.0.1:5570
    trainer_key: trainer.pub
    masking: {strength: permutation}
    """

  static let providedTokens = """
    name: b
    data: {file: rows.h5, tokens: ids, labels: y}
    trainer: tcp://10.0.0.1:5570
    masking: {shuffle_tokens: false, base_model: private}
    """

  static let tokens = """
    name: b
    data: {file: rows.h5, tokens: ids, mask: mask, types: types, labels: y, split: {validation_rows: held}}
    """

  private func refusal(_ text: String, of charter: String = CharterFixture.smallest) throws -> JobSpecError? {
    try CharterFixture.siteRefusal(text, of: charter)
  }

  @Test func theSmallestSiteHasTheDocumentedDefaults() throws {
    let site = try CharterFixture.site(Self.smallest, of: CharterFixture.parse(CharterFixture.smallest))
    #expect(
      site
        == SiteSpecification(
          name: "b",
          data: SiteData(
            file: "/sites/rows.h5", inputs: .features("x"), columns: nil, labels: "y", survival: nil,
            split: .fraction(validation: 0.2, seed: 0)),
          threads: nil, localBaseline: false, provider: nil))
  }

  @Test func aSiteWithEveryKeyIsReadAsItStands() throws {
    let site = try CharterFixture.site(Self.survival, of: CharterFixture.parse(CharterFixture.example))
    #expect(
      site
        == SiteSpecification(
          name: "south",
          data: SiteData(
            file: "/sites/rows.h5", inputs: .features("x"), columns: "columns", labels: nil,
            survival: SurvivalColumns(time: "days", event: "event"), split: .modulo(by: "test", modulo: 2, equals: 1)),
          threads: 2, localBaseline: true, provider: nil))
    let provided = try CharterFixture.site(Self.provided, of: CharterFixture.parse(CharterFixture.smallest))
    #expect(
      provided.provider
        == SiteProvider(
          address: "tcp://10.0.0.1:5570", key: "/sites/trainer.pub",
          masking: MaskingDescription(strength: .permutation, padding: 0, exact: true)))
    #expect(
      provided.trainingItself
        == (try CharterFixture.site(Self.smallest, of: CharterFixture.parse(CharterFixture.smallest))))
  }

  @Test func theMaskingOfAProviderIsARotationUnlessTheSiteSaysOtherwise() throws {
    let text = Self.provided.replacing("\nmasking: {strength: permutation}", with: "")
    let site = try CharterFixture.site(text, of: CharterFixture.parse(CharterFixture.smallest))
    #expect(site.provider?.masking == MaskingDescription(strength: .rotation, padding: 0, exact: true))
  }

  @Test(arguments: [
    (smallest, CharterFixture.smallest), (survival, CharterFixture.example),
    (tokens, CharterFixture.smallestTransformer), (provided, CharterFixture.smallest),
    (providedTokens, CharterFixture.smallestTransformer),
  ])
  func theResolvedTextReadsBackAsAnEqualSite(text: String, charter: String) throws {
    let charter = try CharterFixture.parse(charter)
    let site = try CharterFixture.site(text, of: charter)
    #expect(try CharterFixture.site(site.yaml(), of: charter) == site)
  }

  @Test func everyKeyOfTheSchemaIsReadInSomeTest() throws {
    let keys = try [Self.smallest + "\n", Self.survival, Self.tokens, Self.provided, Self.providedTokens].flatMap {
      try JobSpecification.parse(bytes: Array($0.utf8), source: "", overrides: [], schema: .site).keys
    }
    #expect(
      Set(keys + ["data.split.validation", "data.split.seed"]) == Set(SpecificationSchema.site.all.map(\.path)))
  }

  @Test func aSiteThatTheCharterDoesNotList() throws {
    try refusal(Self.survival.replacing("south", with: "suoth"), of: CharterFixture.example)
      .expectContradiction("the charter `tcga-brca` has no site `suoth`; did you mean `south`?", line: 1)
  }

  @Test func anUnknownKeyOfASite() throws {
    let error = try refusal(Self.smallest + "\nlocal_baselin: true")
    #expect(
      error?.description.hasPrefix("site.yaml:3:1: unknown key `local_baselin`; did you mean `local_baseline`?") == true
    )
  }

  @Test func whatTheCharterDecidesIsNotTheSitesToSay() throws {
    for text in ["task: regression", "train: {batch: 3}", "optimizer: {lr: 1}"] {
      guard case .unknownKey? = try refusal(Self.smallest + "\n" + text)?.reason else {
        Issue.record("\(text)")
        continue
      }
    }
  }

  @Test func stopOrKeepBestWithoutValidation() throws {
    let text = Self.survival.replacing("{by: test, modulo: 2, equals: 1}", with: "{validation: 0}")
    try refusal(text, of: CharterFixture.example).expectContradiction(
      "`train.keep: best` needs validation rows", line: 8)
    let stopping = CharterFixture.example.replacing("keep: best", with: "keep: last")
    try refusal(text, of: stopping).expectContradiction("`federation.stop` needs validation rows", line: 8)
    let neither = stopping.replacing("  stop: {patience: 3}", with: "")
    #expect(try refusal(text, of: neither) == nil)
  }

  @Test func columnsOfTheWrongTask() throws {
    try refusal(Self.survival + "\n").expectContradiction("has no site", line: 1)
    let time = "name: b\ndata: {file: f, features: x, labels: y, time: days}"
    try refusal(time).expectContradiction("is for `task: survival`", line: 2)
    let labels = Self.survival.replacing("  event: event", with: "  event: event\n  labels: y")
    try refusal(labels, of: CharterFixture.example).expectContradiction("reads `data.time` and `data.event`", line: 8)
    guard case .missingKey("data.labels", _)? = try refusal("name: b\ndata: {file: f, features: x}")?.reason else {
      Issue.record("accepted")
      return
    }
  }

  @Test func inputsOfTheOtherKindOfModel() throws {
    try refusal(Self.tokens).expectContradiction("`data.tokens` needs `model.huggingface`", line: 2)
    try refusal(Self.smallest, of: CharterFixture.smallestTransformer)
      .expectContradiction("`data.features` is for `model.mlp`", line: 2)
    let columns = Self.tokens.replacing("tokens: ids", with: "tokens: ids, columns: c")
    try refusal(columns, of: CharterFixture.smallestTransformer).expectContradiction("names features", line: 2)
  }

  @Test func aTrainersKeyWithoutATrainer() throws {
    try refusal(Self.smallest + "\ntrainer_key: t.pub").expectContradiction("stands beside `trainer`", line: 3)
  }

  @Test func maskingWithoutATrainer() throws {
    for key in ["strength: rotation", "base_model: private", "shuffle_tokens: true"] {
      try refusal(Self.smallest + "\nmasking: {\(key)}").expectContradiction("stands beside `trainer`", line: 3)
    }
  }

  private static let privacyOfRecords =
    "strategy: {weighting: equal}, privacy: {unit: record, clip_norm: 1.0, epsilon: 3.0, delta: 1.0e-5}"

  /// The smallest charter with two local steps and these settings of the federation.
  private func ruled(by settings: String) -> String {
    let plain = CharterFixture.charter(
      CharterFixture.smallest, with: "optimizer: {lr: 0.1\(settings.contains("scaffold") ? ", momentum: 0" : "")}")
    return CharterFixture.charter(plain, with: "federation: {rounds: 3, local: {updates: 2}, \(settings)}")
  }

  @Test(arguments: [
    "strategy: {name: fedprox}", "strategy: {name: scaffold}", privacyOfRecords,
    "strategy: {weighting: equal}, privacy: {unit: site, clip_norm: 1.0, epsilon: 3.0, delta: 1.0e-5}",
  ])
  func aProviderUnderEveryRuleOfLocalSteps(settings: String) throws {
    #expect(try refusal(Self.provided, of: ruled(by: settings)) == nil)
  }

  @Test func aProviderUnderACharterInTheClear() throws {
    let charter = ruled(by: "masking: {strength: none}")
    try refusal(Self.provided, of: charter).expectContradiction(
      "everybody who has the charter can draw the starting weights", line: 3)
    #expect(try refusal(Self.smallest, of: charter) == nil)
  }

  @Test func aProviderUnderASchedule() throws {
    for schedule in ["{warmup: 0.1}", "{decay: cosine}"] {
      let charter = CharterFixture.charter(CharterFixture.smallest, with: "schedule: \(schedule)")
      #expect(try refusal(Self.provided, of: charter) == nil)
    }
  }

  @Test func aModelOfOwnRowsAtAProviderUnderPrivacyOfRecords() throws {
    let charter = ruled(by: Self.privacyOfRecords)
    try refusal(Self.provided + "\nlocal_baseline: true", of: charter).expectContradiction(
      "a provider (`trainer`) makes no private steps without", line: 6)
    #expect(try refusal(Self.smallest + "\nlocal_baseline: true", of: charter) == nil)
  }

  @Test func aProviderInTheClearUnderACharterInTheClear() throws {
    let charter = CharterFixture.charter(
      CharterFixture.smallest, with: "federation: {rounds: 3, local: {epochs: 1}, masking: {strength: none}}")
    let text = Self.provided.replacing("permutation", with: "none")
    #expect(try refusal(text, of: charter) == nil)
  }

  @Test func aProviderOfAPretrainedModelNeedsToKnowWhetherTheProviderHasIt() throws {
    let text = Self.providedTokens.replacing(", base_model: private", with: "")
    guard case .missingKey("masking.base_model", _)? = try refusal(text, of: CharterFixture.smallestTransformer)?.reason
    else {
      Issue.record("accepted")
      return
    }
    try refusal(Self.provided.replacing("permutation", with: "permutation, base_model: public"))
      .expectContradiction("`masking.base_model` is for `model.huggingface`", line: 5)
  }

  @Test func aMissingDataFile() throws {
    let fixture = try CharterFixture()
    let charter = try fixture.load(CharterFixture.smallest).charter
    try fixture.write("site.yaml", Self.smallest)
    let site = try SiteSpecification.load(path: fixture.directory + "/site.yaml", charter: charter)
    #expect(site.data.file == fixture.directory + "/rows.h5")
    let error = #expect(throws: JobSpecError.self) {
      try SiteSpecification.load(
        path: fixture.directory + "/site.yaml", charter: charter, overrides: ["data.file=\(fixture.directory)/no.h5"])
    }
    #expect(error?.reason == .missingFile(key: "data.file", path: fixture.directory + "/no.h5"))
  }

  @Test func localTrainingIsAPlaintextJobOfTheSite() throws {
    let charter = try CharterFixture.parse(CharterFixture.example)
    let job = charter.job(for: try CharterFixture.site(Self.survival, of: charter))
    #expect(job.name == "tcga-brca")
    #expect(job.data.file == "/sites/rows.h5")
    #expect(job.data.survival == SurvivalColumns(time: "days", event: "event"))
    #expect(!job.data.standardize)
    #expect(job.masking == MaskingDescription(strength: .none, padding: 0, exact: true))
    #expect(job.lossLocation == .owner)
    #expect(job.train == JobTraining(epochs: 1, batch: 8, microBatch: 8, seed: 7, keep: .last))
    #expect(job.optimizer == charter.optimizer)
    // A job that a person could have written.
    let again = try JobSpecification.parse(bytes: Array(job.yaml().utf8))
      .resolved(jobDirectory: "/", workingDirectory: "/", checkFiles: false)
    #expect(again == job)
  }

  @Test func localTrainingAtAProviderIsAMaskedJobOfTheSite() throws {
    let charter = try CharterFixture.parse(CharterFixture.smallest)
    let job = charter.job(for: try CharterFixture.site(Self.provided, of: charter))
    #expect(job.trainer == "tcp://10.0.0.1:5570")
    #expect(job.masking == MaskingDescription(strength: .permutation, padding: 0, exact: true))
    #expect(job.lossLocation == .owner)
  }

  @Test func localTrainingOfASiteThatStandardisesItselfForSeveralEpochs() throws {
    let charter = try CharterFixture.parse(
      CharterFixture.smallest, ["data.standardize=site", "federation.local.epochs=3"])
    let job = charter.job(for: try CharterFixture.site(Self.smallest, of: charter))
    #expect(job.data.standardize)
    #expect(job.train.epochs == 3)
  }
}
