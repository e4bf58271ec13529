namespace Titan.Training.Tokenizers.Patterns;

/// <summary>A pattern that is wrong, or uses what is not served; the message says what.</summary>
internal sealed class PatternException(string message) : Exception(message);
