package import Architecture
import Foundation

/// A whole job: every default filled in, every relation between keys checked, paths absolute. Holds no secret.
package struct ResolvedJob: Sendable, Equatable, Codable {
  package let name: String
  /// tcp://HOST:PORT.
  package let trainer: String
  package let data: JobData
  package let task: LearningTask
  package let model: JobModel
  package let masking: MaskingDescription
  package let lossLocation: LossLocation
  package let optimizer: OptimizerDescription
  package let schedule: ScheduleDescription
  package let train: JobTraining
  /// Steps between checkpoints, at least 1.
  package let checkpointEverySteps: Int
  /// What an audit must have found before the job is sent; nil where nothing is asked of one.
  package let audit: AuditGate?

  package init(
    name: String, trainer: String, data: JobData, task: LearningTask, model: JobModel, masking: MaskingDescription,
    lossLocation: LossLocation, optimizer: OptimizerDescription, schedule: ScheduleDescription, train: JobTraining,
    checkpointEverySteps: Int, audit: AuditGate? = nil
  ) {
    self.name = name
    self.trainer = trainer
    self.data = data
    self.task = task
    self.model = model
    self.masking = masking
    self.lossLocation = lossLocation
    self.optimizer = optimizer
    self.schedule = schedule
    self.train = train
    self.checkpointEverySteps = checkpointEverySteps
    self.audit = audit
  }

  /// Reads, parses and resolves a job file.
  ///
  /// - Parameters:
  ///   - path: the job's file; paths in it are relative to its directory.
  ///   - overrides: `key.path=value` arguments; paths in them are relative to the working directory.
  ///   - checkFiles: whether `data.file` must exist; false to look at a job away from its data.
  /// - Throws: `JobSpecError`.
  package static func load(
    path: String, overrides: [String] = [], checkFiles: Bool = true
  ) throws(JobSpecError) -> ResolvedJob {
    let bytes = try JobFile.read(path)
    let specification = try JobSpecification.parse(bytes: bytes, source: path, overrides: overrides)
    let working = FileManager.default.currentDirectoryPath
    let jobDirectory = (JobPath.absolute(path, in: working) as NSString).deletingLastPathComponent
    return try specification.resolved(
      jobDirectory: jobDirectory, workingDirectory: working, checkFiles: checkFiles)
  }
}
