import Families
import Files
import Foundation
import JobSpec
import Masking
import Models
import Numerics
import Protocol
import TestSupport
import Testing
import Training

@testable import Datasets
@testable import OwnerRole

/// An owner with a finished run, two clients, and a host on a network of this process.
struct DeploymentFixture<Element: FloatingElement>: Sendable {
  let directory: TemporaryDirectory
  let network = InProcessNetwork()
  let owner: CurveKeyPair
  let hostKey: CurvePublicKey
  let clients: [(name: String, keys: CurveKeyPair)]
  let options = RunOptions(
    compute: Compute(threads: 1), patience: .seconds(60), silence: .seconds(8), software: "test owner")

  init() throws {
    directory = try TemporaryDirectory()
    owner = try CurveKeyPair.generate()
    hostKey = try CurveKeyPair.generate().publicKey
    clients = [("ward", try CurveKeyPair.generate()), ("clinic", try CurveKeyPair.generate())]
  }

  // MARK: - Models

  /// A run as it is once its job is finished, without the training: its model is that which the job begins with.
  func finishedRun(_ job: ResolvedJob, name: String = "run", standardization: Standardization? = nil) throws -> URL {
    let run = try OwnedRun<Element>(job.stated, keys: owner, in: directory.url(name))
    let shape = run.prepared.shape
    let start = shape.startingWeights(secret: run.prepared.secret)
    let trained = NamedTensors<Element>(
      try shape.structure.parameters.filter(\.isTrained).map { specification in
        var tensor: Tensor<Element> = try start.tensor(specification)
        // Adapters begin as nothing, and heads of no bias.
        if specification.origin == .zeros {
          for index in 0..<tensor.count { tensor[index] = Element(Float(index % 7) / 10 - 0.25) }
        }
        return (specification.name, tensor)
      })
    try ModelDirectory(run.directory.model).write(
      trained, shape: shape, standardization: standardization, names: run.prepared.names)
    var state = run.state
    state.phase = .finished
    try state.save(run.directory)
    return run.directory.root
  }

  func source(
    _ root: URL, task: LearningTask? = nil, pool: TokenPooling? = nil, strength: MaskingStrength? = nil,
    maximumTokens: Int? = nil
  ) throws -> ModelSource {
    try ModelSource.find(root, task: task, pool: pool, strength: strength, maximumTokens: maximumTokens)
  }

  /// A finished run on standardised rows.
  func rowSource(_ data: SmallData) throws -> ModelSource {
    try source(
      try finishedRun(
        SmallJob().resolved(on: data),
        standardization: Standardization(
          mean: [Double](repeating: 0.5, count: SmallData.columns),
          scale: [Double](repeating: 2, count: SmallData.columns))))
  }

  // MARK: - Deployments

  func host(_ deployment: Deployment<Element>) -> HostedDeployment<Element> {
    HostedDeployment(channel: network.connect(owner.ownerKey), deployment: deployment.record.id, options: options)
  }

  func newDeployment(
    of source: ModelSource, in name: String = "deployment", separateKeys: Bool = false, maximumRows: Int? = nil
  ) throws -> Deployment<Element> {
    try Deployment(
      in: DeploymentDirectory(root: directory.url(name)), owner: owner, keys: "/nowhere", host: "tcp://127.0.0.1:1",
      hostKey: hostKey, source: source, model: try source.open(),
      clients: try clients.map { try NewClient(name: $0.name, key: $0.keys.publicKey) }, separateKeys: separateKeys,
      maximumRows: maximumRows)
  }

  func deployed(
    _ source: ModelSource, separateKeys: Bool = false, maximumRows: Int? = nil
  ) throws -> Deployment<Element> {
    var deployment = try newDeployment(of: source, separateKeys: separateKeys, maximumRows: maximumRows)
    try deployment.bringIntoForce(at: host(deployment), model: { try source.open() })
    for client in clients { try handOut(client.name, of: deployment) }
    return deployment
  }

  /// Gives a client its directory: what it works with from then on.
  func handOut(_ name: String, of deployment: Deployment<Element>) throws {
    let place = given(name).root
    try? FileManager.default.removeItem(at: place)
    try FileManager.default.copyItem(at: deployment.directory.client(name).root, to: place)
  }

  func given(_ name: String) -> ClientDirectory { ClientDirectory(root: directory.url("given-\(name)")) }

  // MARK: - Questions

  @discardableResult
  func query(
    _ deployment: Deployment<Element>, as client: Int = 0, _ data: URL, to name: String, features: String? = nil,
    over channel: (any OwnerChannel)? = nil, patience: Duration = .seconds(60),
    observe: @escaping (Query<Element>.Event) -> Void = { _ in }
  ) throws -> QueryReport {
    try prepared(deployment, as: client, data, to: name, features: features, observe: observe)
      .run(over: connection(deployment, as: client, over: channel), patience: patience)
  }

  /// A query that nobody has been asked yet.
  func prepared(
    _ deployment: Deployment<Element>, as client: Int = 0, _ data: URL, to name: String, features: String? = nil,
    observe: @escaping (Query<Element>.Event) -> Void = { _ in }
  ) throws -> Query<Element> {
    let directory = given(clients[client].name)
    let asking = try DeploymentClient<Element>(directory, own: clients[client].keys, compute: Compute(threads: 1))
    let source = try QuestionSource(
      asking.shape, file: data.path, features: features, maximumTokens: asking.shape.tokens?.maximumTokens)
    return try Query(
      client: asking, source: source, data: data.path, features: features, to: self.directory.url(name),
      takeNumbers: { try directory.takeNumbers($0, after: $1) }, observe: observe)
  }

  func connection(
    _ deployment: Deployment<Element>, as client: Int, over channel: (any OwnerChannel)? = nil
  ) -> TrainerConnection<Element> {
    TrainerConnection(
      channel: channel ?? network.connect(clients[client].keys.ownerKey), job: deployment.record.id,
      software: "test client", silence: .seconds(8))
  }

  func matrix(_ name: String, _ dataset: String) throws -> [Float] { try matrix(directory.url(name), dataset) }

  func matrix(_ file: URL, _ dataset: String) throws -> [Float] {
    // As an array: features must be finite, and outputs of padding are not.
    let array = try HDF5File(path: file.path).openArray(dataset)
    var values = [Float](repeating: 0, count: array.rows * array.columns)
    try array.read(rows: 0..<array.rows, as: .float, into: &values)
    return values
  }
}

/// The same model in the clear: unmasked weights in the engine, on inputs in the order of the file.
struct PlaintextModel<Element: FloatingElement> {
  private let model: DeployableModel
  private let engine: TrainingEngine<Element>

  init(_ model: DeployableModel) throws {
    self.model = model
    engine = try TrainingEngine(
      model: model.graph, optimizer: nil, schedule: model.job.schedule, totalSteps: 1, batchRows: 4096,
      compute: Compute(threads: 1), parameters: try model.structure.parameters.map { try model.weights.tensor($0) })
  }

  /// Outputs of rows of features, [n][outputs].
  func outputs(_ rows: [[Float]]) throws -> [[Double]] {
    let fitted = model.standardization
    let padding = model.keyPlan.input.homogeneous?.padding ?? 0
    let inputs = rows.flatMap { row -> [Element] in
      row.enumerated().map { column, value in
        guard let fitted else { return Element(value) }
        return Element(Float((Double(value) - fitted.mean[column]) / fitted.scale[column]))
      } + [1] + Array(repeating: 0, count: padding)
    }
    return try split(
      engine.infer(rows: rows.count) { target in _ = target.update(fromContentsOf: inputs) })
  }

  /// Outputs of samples of tokens: [samples] of one, or one for each token.
  func outputs(_ samples: [[Token]]) throws -> [[Double]] {
    let pretrained = try #require(model.pretrained)
    let embedding: TokenEmbedding<Element> = try pretrained.embedding()
    let vectors = embedding.vectors(samples.flatMap { $0 }, workers: Compute(threads: 1).workers)
    let layout = SequenceLayout(
      lengths: samples.map { Int32($0.count) },
      pooled: samples.map { pretrained.pooling == .last ? Int32($0.count - 1) : 0 })
    return try split(
      engine.infer(rows: samples.count, sequences: layout) { target in
        vectors.withUnsafeBufferPointer { _ = target.update(fromContentsOf: $0) }
      })
  }

  private func split(_ outputs: Tensor<Element>) -> [[Double]] {
    (0..<outputs.rows).map { row in (0..<outputs.columns).map { Double(outputs[row, $0]) } }
  }

  /// Outputs of every sample of a file, as the rows of a prediction's `outputs`: NaN where there is no token.
  func outputs(of file: URL, features: String? = nil) throws -> [Double] {
    let source = try QuestionSource(model.questionShape, file: file.path, features: features)
    switch source.samples {
    case .features(let features):
      let values = try features.values(rows: 0..<features.rows)
      return try outputs((0..<values.rows).map { row in (0..<values.columns).map { values[row, $0] } }).flatMap { $0 }
    case .tokens(let tokens):
      let block = try tokens.read(rows: 0..<tokens.rows)
      let samples = (0..<tokens.rows).map { row in
        block[row: row].map {
          Token(
            id: block.ids[$0], position: block.positions[$0], type: block.types[$0], column: block.columns[$0])
        }
      }
      let found = try outputs(samples)
      guard model.job.task.isPerToken else { return found.flatMap { $0 } }
      let width = model.data.outputs
      var result = [Double](repeating: .nan, count: tokens.rows * tokens.columns * width)
      var next = 0
      for (row, sample) in samples.enumerated() {
        for token in sample {
          let first = (row * tokens.columns + Int(token.column)) * width
          for output in 0..<width { result[first + output] = found[next][output] }
          next += 1
        }
      }
      return result
    }
  }
}

extension ResolvedJob {
  /// The same job with what a job file must say of a pretrained model.
  fileprivate var stated: ResolvedJob {
    guard case .huggingFace = model else { return self }
    return ResolvedJob(
      name: name, trainer: trainer, data: data, task: task, model: model,
      masking: MaskingDescription(
        strength: masking.strength, padding: masking.padding, exact: masking.exact,
        shuffleTokens: masking.shuffleTokens, baseModel: .private, adapterWidth: masking.adapterWidth,
        noise: masking.noise),
      lossLocation: lossLocation, optimizer: optimizer, schedule: schedule, train: train,
      checkpointEverySteps: checkpointEverySteps)
  }
}
