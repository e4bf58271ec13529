namespace Acme.Dependency;

public class Forgotten
{
    public static string Text => "found";
}
