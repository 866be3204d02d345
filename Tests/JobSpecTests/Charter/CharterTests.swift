import Foundation
import Models
import Testing

@testable import JobSpec

@Suite struct CharterTests {
  @Test func theSmallestCharterHasTheDocumentedDefaults() throws {
    let charter = try CharterFixture.parse(CharterFixture.smallest)
    #expect(charter.name == "small")
    #expect(
      charter.aggregator == CharterAggregator(address: "tcp://127.0.0.1:5590", key: "/charters/keys/aggregator.pub"))
    #expect(charter.sites.map(\.name) == ["a", "b", "c"])
    #expect(charter.sites[2].key == "/charters/keys/c.pub")
    #expect(charter.index(ofSite: "b") == 1)
    #expect(charter.index(ofSite: "d") == nil)
    #expect(
      charter.data
        == CharterData(columns: ["age", "sex"], columnsFile: nil, classes: ["healthy", "ill"], standardize: .none))
    #expect(charter.model == .mlp(hidden: [], activation: .relu))
    #expect(charter.optimizer.momentum == 0.9)
    #expect(charter.schedule == ScheduleDescription(warmup: 0, decay: .none))
    #expect(
      charter.train
        == CharterTraining(batch: 64, microBatch: 64, seed: 1, keep: .last, recompute: false, precision: .float32))
    #expect(
      charter.federation
        == FederationSettings(
          strategy: StrategyDescription(
            kind: .fedavg, serverLearningRate: 1, beta1: 0, beta2: 0, tau: 0, mu: 0), weighting: .rows,
          rounds: 3, local: .epochs(1), participation: Participation(minimum: 2, fraction: 1, patience: 600),
          fixedPoint: FixedPointBounds(
            updateClip: 8, controlClip: nil, rowsBound: 1_048_576, statisticsBound: 1_000_000),
          aggregation: .secure, threshold: 3, masking: FederationMasking(strength: .rotation, baseModel: nil),
          privacy: nil, stopPatience: nil, classWeights: .none))
  }

  @Test func theDesignsExampleIsReadAsItStands() throws {
    let charter = try CharterFixture.parse(CharterFixture.example)
    #expect(charter.sites.map(\.name) == ["northeast", "south", "west", "east"])
    #expect(charter.data.columns == ["age_at_index", "gender: male"])
    #expect(charter.data.standardize == .pooled)
    #expect(charter.task == .survival)
    #expect(charter.schedule == ScheduleDescription(warmup: 0.1, decay: .cosine))
    #expect(
      charter.train
        == CharterTraining(batch: 8, microBatch: 8, seed: 7, keep: .best, recompute: false, precision: .float32))
    let federation = charter.federation
    #expect(
      federation.strategy
        == StrategyDescription(kind: .fedyogi, serverLearningRate: 0.2, beta1: 0.8, beta2: 0.999, tau: 1e-8, mu: 0))
    #expect(federation.weighting == .equal)
    #expect(federation.local == .updates(100))
    #expect(federation.participation == Participation(minimum: 3, fraction: 0.75, patience: 60.5))
    #expect(
      federation.fixedPoint
        == FixedPointBounds(updateClip: 4, controlClip: nil, rowsBound: 1024, statisticsBound: 1000))
    #expect(federation.threshold == 4)
    #expect(federation.masking == FederationMasking(strength: .permutation, baseModel: nil))
    #expect(federation.stopPatience == 3)
  }

  @Test func privacyMakesWeightsEqual() throws {
    let charter = try CharterFixture.parse(CharterFixture.privateSites)
    #expect(charter.federation.weighting == .equal)
    #expect(
      charter.federation.privacy
        == PrivacyTarget(unit: .site, clipNorm: 1, epsilon: 3, delta: 1e-5, colluders: 1))
  }

  @Test func aPretrainedModelHasAsManyClassesAsTheLabelMap() throws {
    let charter = try CharterFixture.parse(CharterFixture.smallestTransformer)
    #expect(
      charter.model
        == .huggingFace(HuggingFaceModel(directory: "/charters/model", pool: nil, classes: 2, train: .all)))
    #expect(charter.data.columns.isEmpty)
    #expect(charter.train.microBatch == 8)
    #expect(charter.federation.masking == FederationMasking(strength: .rotation, baseModel: .private))
  }

  /// Charters that between them have every key.
  static let texts = [
    CharterFixture.smallest, CharterFixture.example, CharterFixture.privateSites, CharterFixture.smallestTransformer,
    CharterFixture.charter(
      CharterFixture.smallestTransformer,
      with:
        "model: {huggingface: model, head: {pool: mean, classes: 2}, train: lora, lora: {rank: 2, alpha: 4, targets: [query]}}"
    ),
    CharterFixture.charter(
      CharterFixture.smallest, with: "data: {columns_file: c.txt, classes: [\"0\", 1], standardize: site}"),
    CharterFixture.charter(
      CharterFixture.charter(CharterFixture.smallest, with: "optimizer: {lr: 1, momentum: 0}"),
      with: "federation: {rounds: 1, local: {full: true}, strategy: {name: scaffold}, fixed_point: {control_clip: 3}}"),
    CharterFixture.charter(
      CharterFixture.smallest,
      with:
        "federation: {rounds: 1, local: {updates: 1}, strategy: {name: fedavgm, momentum: 0.5}, aggregation: plain, class_weights: balanced}"
    ),
    CharterFixture.charter(
      CharterFixture.smallest, with: "federation: {rounds: 1, local: {updates: 1}, strategy: {name: fedprox, mu: 0.5}}"),
    CharterFixture.charter(
      CharterFixture.smallest, with: "federation: {rounds: 1, local: {updates: 1}, strategy: {name: fedadagrad}}"),
    CharterFixture.charter(
      CharterFixture.smallest,
      with:
        "federation: {rounds: 1, local: {updates: 1}, privacy: {unit: record, clip_norm: 1, epsilon: 1, delta: 0.1}}"),
  ]

  @Test(arguments: texts) func theResolvedTextReadsBackAsAnEqualCharter(text: String) throws {
    let charter = try CharterFixture.parse(text)
    let resolved = charter.yaml()
    let again = try Charter.parse(bytes: Array(resolved.utf8), directory: "/elsewhere", workingDirectory: "/elsewhere")
    #expect(again == charter)
    #expect(again.yaml() == resolved)
  }

  @Test func everyKeyOfTheSchemaIsReadInSomeTest() throws {
    let keys = try Set(
      Self.texts.flatMap {
        let resolved = try CharterFixture.parse($0).yaml()
        return try JobSpecification.parse(bytes: Array(resolved.utf8), source: "", overrides: [], schema: .charter).keys
      }.map { $0.replacing(/\[[0-9]+\]/, with: "[]") })
    #expect(keys == Set(SpecificationSchema.charter.all.map(\.path) + ["sites"]))
  }

  @Test func theFilesOfACharterAreReadAndFollowed() throws {
    let fixture = try CharterFixture()
    let text = CharterFixture.charter(
      CharterFixture.smallest, with: "data: {columns_file: columns.txt, classes: [x, y]}")
    try fixture.write("columns.txt", "age\r\n# of lesions\nsex\n")
    let loaded = try fixture.load(text)
    #expect(loaded.charter.data.columns == ["age", "# of lesions", "sex"])
    #expect(loaded.charter.data.columnsFile == fixture.directory + "/columns.txt")
    #expect(loaded.charter.sites[0].key == fixture.directory + "/keys/a.pub")
    #expect(loaded.bytes == Array(text.utf8))
    let unread = try fixture.load(text, files: .keys)
    #expect(unread.charter.data.columns.isEmpty)
    #expect(unread.charter.data.columnsFile == fixture.directory + "/columns.txt")
  }

  @Test func overridesChangeTheCharterAndItsBytes() throws {
    let fixture = try CharterFixture()
    let loaded = try fixture.load(CharterFixture.smallest, ["federation.rounds=9", "federation.local={updates: 4}"])
    #expect(loaded.charter.federation.rounds == 9)
    #expect(loaded.charter.federation.local == .updates(4))
    #expect(
      loaded.bytes
        == Array(
          (CharterFixture.smallest + "\n# --set federation.rounds=9\n# --set federation.local={updates: 4}").utf8))
    let two = try CharterFixture.parse(
      CharterFixture.smallest, ["sites=[{name: x, key: x.pub}, {name: y, key: /keys/y.pub}]"])
    #expect(two.sites.map(\.name) == ["x", "y"])
    #expect(two.sites.map(\.key) == ["/working/x.pub", "/keys/y.pub"])
  }

  @Test(arguments: [(6, 1, 6), (6, 0.5, 3), (6, 0.51, 4), (100, 0.07, 7), (3, 0.1, 1), (1000, 0.001, 1)])
  func cohortsAreTheirShareRoundedUp(sites: Int, fraction: Double, drawn: Int) {
    #expect(Participation(minimum: 1, fraction: fraction, patience: 1).cohort(of: sites) == drawn)
  }

  @Test func theLeastDefaultsFitEveryNumberOfSites() throws {
    for count in [2, 3, 4, 5, 6, 10, 99, 100] {
      let sites = (0..<count).map { "{name: s\($0), key: s\($0)}" }.joined(separator: ", ")
      let charter = try CharterFixture.parse(CharterFixture.smallest, ["sites=[\(sites)]"])
      #expect(charter.federation.threshold == 2 * count / 3 + 1)
      #expect(charter.federation.participation.minimum == count / 2 + 1)
    }
  }

  @Test func strategiesHaveTheirOwnDefaults() throws {
    func strategy(_ name: String) throws -> StrategyDescription {
      try CharterFixture.parse(CharterFixture.smallest, ["federation.strategy.name=\(name)", "optimizer.momentum=0"])
        .federation.strategy
    }
    func expected(
      _ kind: StrategyDescription.Kind, _ step: Double, _ beta1: Double, _ beta2: Double, _ tau: Double, _ mu: Double
    ) -> StrategyDescription {
      StrategyDescription(kind: kind, serverLearningRate: step, beta1: beta1, beta2: beta2, tau: tau, mu: mu)
    }
    #expect(try strategy("fedavg") == expected(.fedavg, 1, 0, 0, 0, 0))
    #expect(try strategy("fedavgm") == expected(.fedavgm, 1, 0.9, 0, 0, 0))
    #expect(try strategy("fedprox") == expected(.fedprox, 1, 0, 0, 0, 0.01))
    #expect(try strategy("fedadagrad") == expected(.fedadagrad, 0.1, 0, 0, 0.001, 0))
    #expect(try strategy("fedadam") == expected(.fedadam, 0.1, 0.9, 0.99, 0.001, 0))
    #expect(try strategy("fedyogi") == expected(.fedyogi, 0.1, 0.9, 0.99, 0.001, 0))
    #expect(try strategy("scaffold") == expected(.scaffold, 1, 0, 0, 0, 0))
  }

  @Test func keysDefaultToTheLargestGroupThatTheStrategyCommutesWith() throws {
    for kind in StrategyDescription.Kind.allCases {
      let charter = try CharterFixture.parse(
        CharterFixture.smallest, ["federation.strategy.name=\(kind.rawValue)", "optimizer.momentum=0"])
      #expect(charter.federation.masking.strength == (kind.isAdaptive ? .permutation : .rotation))
    }
  }
}
