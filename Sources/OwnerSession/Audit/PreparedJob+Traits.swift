import Architecture
package import Exposure
import JobSpec

extension PreparedJob {
  /// What of this job decides how it can be attacked.
  package var traits: JobTraits {
    var shuffles = false
    var readsTokens = false
    if case .tokens(let tokens) = source {
      readsTokens = true
      shuffles = tokens.settings.shuffles
    }
    return JobTraits(
      name: job.name, task: job.task, strength: job.masking.strength, readsTokens: readsTokens,
      shufflesTokens: shuffles, baseModel: job.masking.baseModel, lossLocation: job.lossLocation,
      noise: job.masking.noise,
      adapterWidth: job.masking.adapterWidth, rows: plan.totalRows,
      features: readsTokens ? shape.inputWidth : shape.data.features, epochs: job.train.epochs)
  }
}
