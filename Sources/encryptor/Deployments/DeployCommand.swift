import ArgumentParser
import Files
import Foundation
import Foundations
import JobSpec
import Models
import Numerics
import OwnerRole
import Protocol

struct DeployCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "deploy", abstract: "Have a trained model hosted, masked, for clients to ask.",
    discussion: """
      RUN is a finished run (`run`, `join`), or a directory of the transformers or peft library with --task and --head. The weights are \
      masked here under a key made for the deployment and uploaded to the trainer, which keeps them, over restarts, until `encryptor undeploy`. \
      --out gets deployment.json, keys/ and clients/NAME/; give each client its directory, over a channel that keeps it secret: it has the \
      masking key. Plaintext weights stay in RUN, where `rotate` reads them again.

      All clients have one key, unless --separate-keys gives each a masked copy of its own. CURVE keys keep clients from each other, but a client \
      in league with the host opens everybody's questions, separate keys or not: a fixed linear mask is obfuscation.

      The same command takes up a deployment that was interrupted, and checks one that is in force; with another --trainer it notes that \
      the host has moved there. Without --client the owner itself is the client `owner`.

      Example: encryptor deploy runs/pbmc --keys keys --trainer-key trainer.pub --client ward=ward/owner.pub --out deployments/pbmc
      """)

  @Argument(help: ArgumentHelp("The directory with the model.", valueName: "run"), completion: .directory)
  var model: String

  @OptionGroup var keys: KeyOptions
  @OptionGroup var processing: ProcessingOptions<OwnerWords>
  @OptionGroup var place: ListenOption<OwnerWords>

  @Option(name: .customLong("out"), help: "The deployment's directory to make.", completion: .directory)
  var output: String

  @Option(help: ArgumentHelp("The trainer's address. (default: that of the run)", valueName: "address"))
  var trainer: String?

  @Option(
    name: .customLong("client"),
    help: ArgumentHelp(
      "A client's name and its owner.pub, as `encryptor keygen` makes it (repeatable).", valueName: "name=file"))
  var clients: [ClientArgument] = []

  @Flag(help: "Mask the model for each client under a key of its own.")
  var separateKeys = false

  @Option(
    help: ArgumentHelp("Rows (of a model of tokens: tokens) after which no more is answered.", valueName: "n"))
  var maxRows: Int?

  @Option(help: ArgumentHelp("What the outputs of a checkpoint are, as a job's `task`.", valueName: "task"))
  var task: LearningTask?

  @Option(
    help: ArgumentHelp(
      "How a checkpoint's head pools tokens, as a job's `model.head.pool`.", valueName: "pool"))
  var head: TokenPooling?

  @Option(help: ArgumentHelp("As a job's `masking.strength`. (default: the job's)", valueName: "strength"))
  var strength: MaskingStrength?

  @Option(
    help: ArgumentHelp(
      "Numbers that the host computes in, as a job's `train.precision`. (default: the job's, float32 of a checkpoint)",
      valueName: "precision"))
  var precision: TrainingPrecision?

  @Option(
    help: ArgumentHelp(
      "Tokens of a sample, and of a text with its continuation. (default: 512, or what the run had, where the model has so many positions)",
      valueName: "n"))
  var maxTokens: Int?

  func validate() throws {
    try RowLimit.check(maxRows)
    if let maxTokens, maxTokens < 1 { throw ValidationError("--max-tokens must be at least 1") }
  }

  func run() throws {
    let directory = DeploymentDirectory(root: URL(filePath: output))
    let source = try ModelSource.find(
      URL(filePath: model), task: task, pool: head, strength: strength, maximumTokens: maxTokens,
      precision: precision)
    let owner = try keys.owner()
    let hostKey = try keys.trainer()
    var asked = try clients.map { try $0.read() }
    if asked.isEmpty { asked = [try NewClient(name: "owner", key: owner.publicKey)] }
    if !directory.exists { try Directory.create(directory.root.path) }
    let lease = try RunHold.take(directory)
    defer { lease.release() }
    KernelNotice.show()
    var opened: DeployableModel?
    func openModel() throws -> DeployableModel {
      let model = try opened ?? DeploymentChange.open(source)
      opened = model
      return model
    }
    var deployment: Deployment<Float>
    if directory.exists {
      deployment = try Deployment(opening: directory, owner: owner)
      try check(deployment.record, source, asked, hostKey)
    } else {
      deployment = try Deployment(
        in: directory, owner: owner, keys: URL(filePath: keys.keys).standardizedFileURL.path,
        host: try address(source), hostKey: hostKey, source: source, model: try openModel(), clients: asked,
        separateKeys: separateKeys, maximumRows: maxRows)
    }
    let before = deployment.record.host
    let status = try DeploymentHost.use(
      trainer ?? before, listen: place.listen, owner: owner, hostKey: hostKey.z85, id: deployment.record.id,
      patience: processing.patience, compute: processing.compute
    ) { host in
      if let trainer, trainer != before {
        try deployment.move(to: trainer)
        if deployment.record.inForce > 0 {
          StandardError.write(
            "the host was at \(before) before; clients ask there until they have the client.json of their directories anew\n"
          )
        }
      }
      // Any other change is finished by its own command.
      _ = try deployment.isPending(Deployment<Float>.beginning)
      return try DeploymentChange.bringIntoForce(&deployment, host, checkingAll: true, model: openModel)
    }
    for line in DeploymentText.clients(deployment.record, status) { print(line) }
    print(
      "deployed \(status.id) at \(deployment.record.host); directories for the clients: \(directory.root.path)/clients")
  }

  /// A deployment that was begun is taken up by the same command alone.
  private func check(
    _ record: DeploymentRecord, _ source: ModelSource, _ asked: [NewClient], _ hostKey: CurvePublicKey
  ) throws {
    guard !record.isTakenDown else {
      throw OwnerError.run("\(output) is taken down; choose another --out for a new deployment")
    }
    guard record.hostKey == hostKey.z85 else {
      throw OwnerError.otherKey(
        "\(output) is hosted by the trainer with the key \(record.hostKey), and --trainer-key holds \(hostKey.z85); give that trainer's key, or "
          + "choose another --out for a deployment at the other one")
    }
    let isSame =
      record.source == source && record.separateKeys == separateKeys
      && (maxRows == nil || record.maximumRows == maxRows)
      && (clients.isEmpty || asked.allSatisfy { record.client(named: $0.name)?.key == $0.key.z85 })
    guard isSame else {
      throw OwnerError.run(
        "\(output) holds a deployment that was made with other options; change its clients with `encryptor clients`, or choose another --out"
      )
    }
  }

  private func address(_ source: ModelSource) throws -> String {
    if let trainer { return trainer }
    guard source.kind == .run else {
      throw OwnerError.unfitJob("\(model) is no run of a job, and names no trainer: give --trainer tcp://HOST:PORT")
    }
    return try RunState.load(RunDirectory(root: URL(filePath: model))).trainer
  }
}
