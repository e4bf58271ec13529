using Titan.Abstractions;
using Titan.Training.Chat;

namespace Titan.Training.Tests.Chat;

public sealed class ConversationReaderTests
{
    [Fact]
    public void Messages_of_an_assistant_are_answers_unless_their_weight_is_zero()
    {
        var read = (Conversation.Messages)ConversationReader.Read(
            """{"id": 7, "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "u", "weight": 1}, {"role": "assistant", "content": "a", "weight": 0}, {"role": "assistant", "content": "b", "name": null}]}""", "here");
        Assert.Equal([new("system", "s", false), new("user", "u", false), new("assistant", "a", false), new ChatMessage("assistant", "b", true)], read.List);
    }

    [Fact]
    public void Of_a_prompt_and_a_completion_only_the_completion_is_learnt()
    {
        Assert.Equal(new Conversation.Completion("p", "c"), ConversationReader.Read("""{"prompt": "p", "completion": "c"}""", "here"));
        var read = (Conversation.Messages)ConversationReader.Read(
            """{"prompt": [{"role": "user", "content": "u"}, {"role": "assistant", "content": "a"}, {"role": "user", "content": "v"}], "completion": [{"role": "assistant", "content": "b"}]}""", "here");
        Assert.Equal([false, false, false, true], read.List.Select(m => m.IsAnswer));
    }

    [Theory]
    [InlineData("""{"messages": [{"role": "user", "content": "u"}]}""", "no message of an assistant is to be learnt")]
    [InlineData("""{"messages": [{"role": "assistant", "content": "u", "weight": 0}]}""", "no message of an assistant is to be learnt")]
    [InlineData("""{"messages": []}""", "no message of an assistant is to be learnt")]
    [InlineData("""{"messages": [{"role": "tool", "content": "u"}]}""", "messages[0].role is 'tool'; expected one of system, user, assistant")]
    [InlineData("""{"messages": [{"role": "user", "content": "u"}, {"role": "assistant", "content": null, "tool_calls": [{}]}]}""", "messages[1] has \"tool_calls\", which is not served")]
    [InlineData("""{"messages": [{"role": "user", "content": [{"type": "text"}]}]}""", "messages[0].content is Array; expected a text")]
    [InlineData("""{"messages": [{"role": "user"}]}""", "messages[0] has no content: expected \"messages\"")]
    [InlineData("""{"messages": [{"content": "x"}]}""", "messages[0] has no role: expected \"messages\"")]
    [InlineData("""{"messages": [{"role": "assistant", "content": "x", "weight": 0.5}]}""", "messages[0].weight is 0.5; expected 0 or 1")]
    [InlineData("""{"messages": ["x"]}""", "messages[0] is no object")]
    [InlineData("""{"messages": "x"}""", "no conversation: expected \"messages\"")]
    [InlineData("""{"text": "x"}""", "no conversation: expected \"messages\"")]
    [InlineData("""{"prompt": "x"}""", "no conversation: expected \"messages\"")]
    [InlineData("""{"prompt": "x", "completion": ""}""", "its \"completion\" is empty")]
    [InlineData("""{"prompt": "x", "completion": [{"role": "assistant", "content": "x"}]}""", "no conversation: expected \"messages\"")]
    [InlineData("""{"tools": [{}], "messages": [{"role": "assistant", "content": "x"}]}""", "it has \"tools\", which are not served")]
    [InlineData("""{"messages": [{"role": "assistant", "content": "\ud83d"}]}""", "a text is not valid Unicode")]
    [InlineData("""{"messages": [], "messages": []}""", "not valid JSON")]
    [InlineData("[]", "no object: expected \"messages\"")]
    [InlineData("{", "not valid JSON at byte 1")]
    public void A_line_that_is_none_is_named_with_what_is_wrong(string line, string expected)
    {
        var error = Assert.Throws<TitanException>(() => ConversationReader.Read(line, "data.jsonl:3"));
        Assert.Equal(ExitCode.Data, error.Code);
        Assert.StartsWith("data.jsonl:3: " + expected, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Tools_that_are_none_are_passed_over() =>
        Assert.IsType<Conversation.Messages>(ConversationReader.Read("""{"tools": [], "messages": [{"role": "assistant", "content": "x"}]}""", "here"));
}
