import Testing

@testable import JobSpec

/// What a charter says wrong about rounds, sums, strategies and privacy.
@Suite struct FederationRefusalTests {
  /// Of `smallest` (three sites) with these keys of `federation`; an error there is in the last line.
  private func refusal(_ keys: String, _ overrides: [String] = []) -> JobSpecError? {
    let section = "federation: {rounds: 3, local: {epochs: 1}, \(keys)}"
    return CharterFixture.refusal(CharterFixture.charter(CharterFixture.smallest, with: section), overrides)
  }

  private let last = CharterFixture.smallest.split(separator: "\n").count

  @Test func minimumAboveTheSites() {
    refusal("participation: {minimum: 4}").expectContradiction("is above the number of sites (3)", line: last)
    #expect(refusal("participation: {minimum: 3}") == nil)
  }

  @Test func minimumAboveTheDrawnSites() {
    refusal("participation: {minimum: 3, fraction: 0.6}")
      .expectContradiction("is above the 2 of 3 sites that `fraction` draws", line: last)
  }

  @Test func aSumOverOneSite() {
    refusal("participation: {minimum: 1}").expectContradiction("a sum over one site is its update", line: last)
    #expect(refusal("aggregation: plain, participation: {minimum: 1}") == nil)
    refusal("participation: {fraction: 0.3}").expectContradiction("draws 1 of 3 sites", line: last)
    #expect(refusal("aggregation: plain, participation: {fraction: 0.3}") == nil)
  }

  @Test func fractionOutOfRange() {
    for fraction in ["0", "1.01", "-0.5"] {
      refusal("participation: {fraction: \(fraction)}")
        .expectOutOfRange("a number above 0 and at most 1", in: .charter)
    }
  }

  @Test func thresholdImpossible() {
    refusal("threshold: 4").expectContradiction("is above the number of sites (3)", line: last)
    refusal("threshold: 1").expectContradiction("must be above half of the 3 sites", line: last)
    #expect(refusal("threshold: 2") == nil)
    let four = "sites=[{name: a, key: a}, {name: b, key: b}, {name: c, key: c}, {name: d, key: d}]"
    refusal("threshold: 2", [four]).expectContradiction("must be above half of the 4 sites", line: last)
    #expect(refusal("threshold: 3", [four]) == nil)
    refusal("aggregation: plain, threshold: 4").expectContradiction("is above the number of sites", line: last)
  }

  @Test func aThresholdMayStayBesidePlainSumsAndIsNotUsed() throws {
    let charter = try CharterFixture.parse(
      CharterFixture.smallest, ["federation.aggregation=plain", "federation.threshold=1"])
    #expect(charter.federation.threshold == nil)
  }

  @Test func over100SitesWithSecureSums() throws {
    let sites = (0..<101).map { "{name: s\($0), key: s\($0)}" }.joined(separator: ", ")
    CharterFixture.refusal(CharterFixture.smallest, ["sites=[\(sites)]"])
      .expectContradiction("takes at most 100 sites", line: nil)
    #expect(
      CharterFixture.refusal(CharterFixture.smallest, ["sites=[\(sites)]", "federation.aggregation=plain"]) == nil)
  }

  @Test func scaffoldWithoutPlainSGD() {
    let scaffold = "strategy: {name: scaffold}"
    refusal(scaffold).expectContradiction("set `optimizer.momentum: 0` (it is 0.9)", line: nil)
    refusal(scaffold, ["optimizer.name=adamw"]).expectContradiction("`optimizer.name` is adamw", line: nil)
    for key in ["optimizer.weight_decay=0.1", "optimizer.clip_norm=1", "schedule.decay=linear"] {
      refusal(scaffold, ["optimizer.momentum=0", key]).expectContradiction("`scaffold` needs", line: nil)
    }
    #expect(refusal(scaffold, ["optimizer.momentum=0"]) == nil)
  }

  /// Every setting, with the strategies that have it.
  @Test(arguments: [
    ("momentum: 0.5", ["fedavgm", "fedadagrad"]), ("betas: [0.9, 0.99]", ["fedadam", "fedyogi"]),
    ("tau: 0.01", ["fedadagrad", "fedadam", "fedyogi"]), ("mu: 0.1", ["fedprox"]),
    ("server_lr: 0.5", StrategyDescription.Kind.allCases.map(\.rawValue)),
    ("weighting: equal", StrategyDescription.Kind.allCases.map(\.rawValue)),
  ])
  func settingsThatAStrategyIgnoresAreRefused(setting: String, takers: [String]) {
    for kind in StrategyDescription.Kind.allCases {
      let error = refusal("strategy: {name: \(kind.rawValue), \(setting)}", ["optimizer.momentum=0"])
      if takers.contains(kind.rawValue) {
        #expect(error == nil)
      } else {
        error.expectContradiction("federation.strategy.\(setting.prefix { $0 != ":" })", line: last)
      }
    }
  }

  @Test func aControlClipWithoutControlVariates() {
    refusal("fixed_point: {control_clip: 2}").expectContradiction("is for `scaffold`", line: last)
  }

  @Test(arguments: ["[0.9]", "[0.9, 0.99, 0.999]"])
  func betasThatAreNotTwo(betas: String) {
    refusal("strategy: {name: fedadam, betas: \(betas)}")
      .expectOutOfRange("a list of 2 numbers, each at least 0 and below 1", in: .charter)
  }

  @Test func betasOutOfRange() {
    refusal("strategy: {name: fedadam, betas: [0.9, 1]}")
      .expectOutOfRange("a list of 2 numbers, each at least 0 and below 1", in: .charter)
    refusal("strategy: {name: fedadam, betas: [0.9, high]}").expectWrongType("a list of numbers", "text")
  }

  @Test func inputOnlyMasksNothingThatAnAggregatorSees() {
    refusal("masking: {strength: input-only}").expectOutOfRange("one of rotation, permutation, none", in: .charter)
  }

  @Test(arguments: [
    "{}", "{full: false}", "{updates: 1, epochs: 1}", "{updates: 1, full: true}", "{epochs: 1, full: true}",
  ])
  func notExactlyOneKindOfLocalWork(local: String) {
    let error = CharterFixture.refusal(
      CharterFixture.charter(CharterFixture.smallest, with: "federation: {rounds: 3, local: \(local)}"))
    switch error?.reason {
    case .missingKey("federation.local", _): #expect(!local.contains("1"))
    case .contradiction(let sentence):
      #expect(sentence.contains("two kinds of local work"))
      #expect(local.contains("1"))
    default: Issue.record("\(String(describing: error))")
    }
  }

  @Test func fullWithEpochs() {
    CharterFixture.refusal(
      CharterFixture.charter(
        CharterFixture.smallest, with: "federation: {rounds: 3, local: {epochs: 2, full: true}}")
    ).expectContradiction("`federation.local.epochs` and `federation.local.full` are two kinds", line: last)
  }

  @Test func classWeightsWithoutClasses() {
    CharterFixture.refusal(CharterFixture.example, ["federation.class_weights=balanced"])
      .expectContradiction("is for `task: classification`", line: nil)
  }

  @Test func sectionsThatAskForSomethingByBeingThere() {
    for section in ["privacy", "stop"] {
      guard case .emptySection(let path, _)? = refusal("\(section): {}")?.reason else {
        Issue.record("\(section)")
        continue
      }
      #expect(path == "federation." + section)
    }
  }

  private static let record = "privacy: {unit: record, clip_norm: 1, epsilon: 3, delta: 1.0e-5}"
  private static let site = "privacy: {unit: site, clip_norm: 1, epsilon: 3, delta: 1.0e-5}"
  /// What `unit: record` asks of local work.
  private static let updates = "federation.local={updates: 2}"

  @Test(arguments: ["unit: site, ", "clip_norm: 1, ", "epsilon: 3, ", ", delta: 1.0e-5"])
  func privacyWithoutOneOfItsNumbers(part: String) {
    guard case .missingKey? = refusal(Self.site.replacing(part, with: ""))?.reason else {
      Issue.record("\(part)")
      return
    }
  }

  @Test func privacyItselfIsAccepted() {
    #expect(refusal(Self.record, [Self.updates]) == nil)
    #expect(refusal(Self.site) == nil)
  }

  @Test(arguments: [
    ("data.standardize=pooled", "means and deviations"), ("federation.class_weights=balanced", "counts of classes"),
    ("federation.strategy.weighting=rows", "counts of rows"), ("train.keep=best", "the metrics that choose"),
    ("federation.stop.patience=3", "the metrics that decide"),
  ])
  func privacyWithWhatLeavesASiteWithoutNoise(override: String, words: String) {
    for unit in [Self.record, Self.site] { refusal(unit, [override]).expectContradiction(words, line: nil) }
  }

  @Test func privacyOfRecordsThatHaveNoGradientOfTheirOwn() {
    let survival = ["task=survival", "data={columns: [x]}"]
    refusal(Self.record, survival).expectContradiction("compares rows", line: nil)
    #expect(refusal(Self.site, survival) == nil)
  }

  @Test func privacyOfRecordsWithAFullStep() {
    refusal(Self.record, ["federation.local={full: true}"]).expectContradiction(
      "draws the rows of every batch", line: 1)
  }

  @Test func privacyOfRecordsWithEpochsWhoseStepsFollowFromTheRows() {
    refusal(Self.record, ["federation.local={epochs: 2}"]).expectContradiction(
      "would follow from a site's rows", line: 1)
    #expect(refusal(Self.site, ["federation.local={epochs: 2}"]) == nil)
  }

  @Test func privacyOfRecordsWithRowsThatChangeOneAnother() {
    refusal(Self.record, [Self.updates, "data.standardize=site"]).expectContradiction(
      "through mean and deviation", line: nil)
    #expect(refusal(Self.site, ["data.standardize=site"]) == nil)
  }

  @Test func privacyOfRecordsWithASumThatIsClipped() {
    refusal(Self.record, [Self.updates, "optimizer.clip_norm=1"]).expectContradiction(
      "nothing clips the sum", line: nil)
    #expect(refusal(Self.site, ["optimizer.clip_norm=1"]) == nil)
  }

  @Test func privacyOfSitesWithPlainSumsOrControlVariates() {
    refusal(Self.site, ["federation.aggregation=plain"]).expectContradiction("its share of the noise", line: nil)
    #expect(refusal(Self.record, [Self.updates, "federation.aggregation=plain"]) == nil)
    let scaffold = ["federation.strategy.name=scaffold", "optimizer.momentum=0"]
    refusal(Self.site, scaffold).expectContradiction("control variates have no noise", line: nil)
    #expect(refusal(Self.record, [Self.updates] + scaffold) == nil)
  }

  @Test func asManyColludersAsSitesInASum() {
    refusal(Self.site, ["federation.privacy.colluders=2"]).expectContradiction("no noise would be left", line: nil)
    #expect(refusal(Self.site, ["federation.privacy.colluders=1"]) == nil)
    refusal(Self.record, ["federation.privacy.colluders=1"]).expectContradiction("is for `unit: site`", line: nil)
  }
}
